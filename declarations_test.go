package mp_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// declarations are what packages declare, as "Name" and "Type.Member", by the last element of
// their paths: of mp's own packages also what they do not export.
type declarations struct {
	t    *testing.T
	pkgs map[string]map[string]bool
	std  string // directory
}

func newDeclarations(t *testing.T) *declarations {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	return &declarations{t: t, pkgs: map[string]map[string]bool{}, std: filepath.Join(strings.TrimSpace(string(out)), "src")}
}

// has says whether there is a name; without a package it is one of the root's, or of package ipc.
func (d *declarations) has(name string) bool {
	pkg := "mp"
	if before, after, ok := strings.Cut(name, "."); ok && strings.ToLower(before) == before {
		pkg, name = before, after
	}
	return d.names(pkg)[name] || pkg == "mp" && d.names("ipc")[name]
}

// hasMember says whether some type of the root, or of package ipc, has a member of that name.
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
	all := map[string]bool{}
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
		}
	}
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

// declared adds what a declaration declares.
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

// members are the fields of a struct, or the methods of an interface.
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

// typeName is the name of a receiver's type.
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
