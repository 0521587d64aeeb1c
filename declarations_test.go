package mp_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// declarations holds the names that packages declare, as "Name" and "Type.Member", by the last
// element of the package path. It includes names that are not exported.
type declarations struct {
	t    *testing.T
	pkgs map[string]map[string]bool
	std  string // directory of the standard library
}

func newDeclarations(t *testing.T) *declarations {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	return &declarations{t: t, pkgs: map[string]map[string]bool{}, std: filepath.Join(strings.TrimSpace(string(out)), "src")}
}

// has reports whether a name is declared. A name without a package is looked up in the root and in
// package ipc.
func (d *declarations) has(name string) bool {
	pkg := "mp"
	if before, after, ok := strings.Cut(name, "."); ok && strings.ToLower(before) == before {
		pkg, name = before, after
	}
	return d.names(pkg)[name] || pkg == "mp" && d.names("ipc")[name]
}

// hasMember reports whether a type of the root or of package ipc has a member of that name.
func (d *declarations) hasMember(name string) bool {
	for _, pkg := range []string{"mp", "ipc"} {
		for full := range d.names(pkg) {
			if _, member, ok := strings.Cut(full, "."); ok && member == name {
				return true
			}
		}
	}
	return false
}

func (d *declarations) names(pkg string) map[string]bool {
	if all := d.pkgs[pkg]; all != nil {
		return all
	}

	dir := d.dir(pkg)
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		d.t.Errorf("there is no package %s: %v", pkg, err)
	}
	all, embedded := map[string]bool{}, map[string][]string{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			d.t.Error(err)
			continue
		}
		for _, decl := range f.Decls {
			declared(all, decl)
			embeds(embedded, decl)
		}
	}

	promote(all, embedded)
	d.pkgs[pkg] = all
	return all
}

func (d *declarations) dir(pkg string) string {
	if pkg == "mp" {
		return "."
	}
	for _, dir := range []string{pkg, filepath.Join("internal", pkg), filepath.Join("manager", "internal", pkg)} {
		if _, err := os.Stat(dir); err == nil {
			return dir
		}
	}
	return filepath.Join(d.std, pkg)
}

// declared adds the names in a declaration to all.
func declared(all map[string]bool, d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		name := d.Name.Name
		if d.Recv != nil {
			name = typeName(d.Recv.List[0].Type) + "." + name
		}
		all[name] = true
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.ValueSpec:
				for _, n := range s.Names {
					all[n.Name] = true
				}
			case *ast.TypeSpec:
				all[s.Name.Name] = true
				for _, m := range members(s.Type) {
					all[s.Name.Name+"."+m] = true
				}
			}
		}
	}
}

// embeds adds to embedded, for each struct type in a declaration, the types of the package that it
// embeds.
func embeds(embedded map[string][]string, d ast.Decl) {
	types, ok := d.(*ast.GenDecl)
	if !ok || types.Tok != token.TYPE {
		return
	}
	for _, s := range types.Specs {
		spec := s.(*ast.TypeSpec)
		st, ok := spec.Type.(*ast.StructType)
		if !ok {
			continue
		}
		for _, f := range st.Fields.List {
			if name := typeName(f.Type); len(f.Names) == 0 && name != "" {
				embedded[spec.Name.Name] = append(embedded[spec.Name.Name], name)
			}
		}
	}
}

// promote adds the members of embedded types to the types that embed them directly.
func promote(all map[string]bool, embedded map[string][]string) {
	for _, name := range slices.Collect(maps.Keys(all)) {
		from, member, ok := strings.Cut(name, ".")
		if !ok {
			continue
		}
		for to, types := range embedded {
			if slices.Contains(types, from) {
				all[to+"."+member] = true
			}
		}
	}
}

// members returns the fields of a struct or the methods of an interface.
func members(t ast.Expr) (names []string) {
	var fields *ast.FieldList
	switch t := t.(type) {
	case *ast.StructType:
		fields = t.Fields
	case *ast.InterfaceType:
		fields = t.Methods
	default:
		return nil
	}
	for _, f := range fields.List {
		for _, n := range f.Names {
			names = append(names, n.Name)
		}
	}
	return names
}

// typeName returns the name of a receiver's type.
func typeName(t ast.Expr) string {
	switch t := t.(type) {
	case *ast.StarExpr:
		return typeName(t.X)
	case *ast.IndexExpr:
		return typeName(t.X)
	case *ast.IndexListExpr:
		return typeName(t.X)
	case *ast.Ident:
		return t.Name
	}
	return ""
}
