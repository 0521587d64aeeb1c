package mp_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documents returns all documents except CHANGELOG, which mentions names that no longer exist.
func documents(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob("docs/*.md")
	if err != nil || len(all) == 0 {
		t.Fatal(err, all)
	}
	return append(all, "README.md", "CONTRIBUTING.md", "bench/README.md", "examples/README.md", "examples/guides/README.md")
}

// Go code in documents is a program, declarations or statements. A comment in front of it, which
// readers do not see, holds other code that it needs besides imports:
//
//	<!-- go:
//	var pool *mp.Pool
//	-->
var codeBlock = regexp.MustCompile("(?ms)(?:^<!-- go:\\n(.*?)^-->\\n\\n)?^```go\\n(.*?)^```$")

// All Go code in the documents compiles.
func TestDocumentsCompile(t *testing.T) {
	check := newChecker(t)
	blocks := 0
	for _, doc := range documents(t) {
		for i, block := range codeBlock.FindAllStringSubmatch(read(t, doc), -1) {
			blocks++
			if err := check.program(block[1], block[2]); err != nil {
				t.Errorf("%s, piece %d: %v\n%s", doc, i+1, err, block[2])
			}
		}
	}
	if blocks < 8 {
		t.Errorf("there are only %d pieces", blocks)
	}
}

func TestDocumentsCheckerFindsMistakes(t *testing.T) {
	check := newChecker(t)
	for _, bad := range []string{"x := mp.Nothing()", "var f = mp.Register(1, 2)", "package main\nfunc main() { mp.Init() }", "for {"} {
		if check.program("", bad) == nil {
			t.Errorf("it compiles: %s", bad)
		}
	}
}

var (
	link     = regexp.MustCompile(`\]\(([^)#:]+)\)`)
	aName    = regexp.MustCompile("`((?:[a-z]+\\.)?[A-Z]\\w*(?:\\.[A-Z]\\w*)?|[a-z]+\\.\\w+(?:\\.\\w+)?)`")
	notNames = regexp.MustCompile(`^([A-Z_]+|SIG[A-Z]+|SIGKILL|Test\w+|.*\.(go|md|max|internal))$`) // TestDocumentsNameTests knows tests

	// withPython are documents that also mention Python's names. TestFromPython checks the largest.
	withPython = []string{"docs/from-python.md", "docs/behaviours.md", "README.md", "bench/README.md"}
)

// The files that documents link to and the names that they mention exist.
func TestDocumentsName(t *testing.T) {
	names := newDeclarations(t)
	for _, doc := range documents(t) {
		text := read(t, doc)
		for _, to := range link.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(doc), to[1])); err != nil {
				t.Errorf("%s leads to %s, which does not exist", doc, to[1])
			}
		}
		if slices.Contains(withPython, doc) {
			continue
		}
		for _, code := range aName.FindAllStringSubmatch(text, -1) {
			if name := code[1]; !notNames.MatchString(name) && !names.has(name) && !names.hasMember(name) {
				t.Errorf("%s: there is no %s", doc, name)
			}
		}
	}
}

var (
	aBehaviour = regexp.MustCompile(`\b[A-Z]\d{1,2}\b`)
	aComment   = regexp.MustCompile(`// .*`)
)

// Each behaviour has a test that names it.
func TestBehaviours(t *testing.T) {
	listed := map[string]bool{} // whether there is a test, by behaviour
	for _, id := range aBehaviour.FindAllString(read(t, "docs/behaviours.md"), -1) {
		listed[id] = false
	}
	out, err := exec.Command("go", "list", "-f", `{{$d := .Dir}}{{range .TestGoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{range .XTestGoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}`, "./...").Output()
	if err != nil {
		t.Fatal(err)
	}

	for _, file := range append(strings.Fields(string(out)), "mptest/suite.go") {
		for _, comment := range aComment.FindAllString(read(t, file), -1) {
			for _, id := range aBehaviour.FindAllString(comment, -1) {
				if _, ok := listed[id]; ok {
					listed[id] = true
				}
			}
		}
	}

	for id, tested := range listed {
		if !tested {
			t.Errorf("no test names %s", id)
		}
	}

	if len(listed) < 170 {
		t.Errorf("there are only %d behaviours", len(listed))
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A checker type-checks pieces of Go code.
type checker struct {
	fset    *token.FileSet
	exports map[string]string // files with export data, by import path
	imports types.Importer
}

// importable lists the packages that pieces refer to by the last element of the path.
var importable = []string{
	"context", "encoding/json", "errors", "fmt", "io", "iter", "log", "log/slog", "net/http", "os", "os/signal", "syscall", "testing", "time",
	"github.com/go-multiprocessing/mp",
	"github.com/go-multiprocessing/mp/connection",
	"github.com/go-multiprocessing/mp/insight",
	"github.com/go-multiprocessing/mp/ipc",
	"github.com/go-multiprocessing/mp/manager",
	"github.com/go-multiprocessing/mp/mptest",
	"github.com/go-multiprocessing/mp/progress",
}

func newChecker(t *testing.T) *checker {
	t.Helper()
	args := append([]string{"list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}"}, importable...)
	out, err := exec.Command("go", args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	c := &checker{fset: token.NewFileSet(), exports: map[string]string{}}
	for line := range strings.Lines(string(out)) {
		pkg, file, _ := strings.Cut(strings.TrimSpace(line), "\t")
		c.exports[pkg] = file
	}
	c.imports = importer.ForCompiler(c.fset, "gc", func(pkg string) (io.ReadCloser, error) { return os.Open(c.exports[pkg]) })
	return c
}

// program checks a piece of code together with the code that it needs.
func (c *checker) program(needs, piece string) error {
	if strings.HasPrefix(piece, "package ") {
		return c.check(piece)
	}
	if _, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+piece, 0); err != nil {
		piece = "func _(ctx context.Context) error {\n" + piece + "\nreturn nil\n}"
	}
	return c.check("package p\n" + imports(needs+piece) + needs + piece)
}

// imports returns the import declarations that code seems to need.
func imports(code string) string {
	var b strings.Builder
	for _, pkg := range importable {
		if regexp.MustCompile(`\b` + path.Base(pkg) + `\.[A-Z]`).MatchString(code) {
			fmt.Fprintf(&b, "import %q\n", pkg)
		}
	}
	return b.String()
}

func (c *checker) check(program string) error {
	file, err := parser.ParseFile(c.fset, "piece.go", program, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	var wrong error
	cfg := types.Config{Importer: c.imports, Error: func(err error) {
		// A soft error reports an unused variable or import, which is fine in a fragment.
		var e types.Error
		if soft := errors.As(err, &e) && e.Soft; wrong == nil && !soft {
			wrong = err
		}
	}}
	_, _ = cfg.Check("piece", c.fset, []*ast.File{file}, nil)
	return wrong
}

// The files that CONTRIBUTING.md names exist, in the directory of their row or below.
func TestLayoutNamesFiles(t *testing.T) {
	file := regexp.MustCompile("`([\\w./]+\\.go)`")
	named := 0
	for _, line := range strings.Split(read(t, "CONTRIBUTING.md"), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 4 {
			continue
		}
		dir := strings.Trim(cells[1], " `")
		for _, found := range file.FindAllStringSubmatch(cells[1], -1) {
			named++
			if _, err := os.Stat(found[1]); err != nil {
				t.Error(err)
			}
		}
		for _, found := range file.FindAllStringSubmatch(cells[2], -1) {
			named++
			if _, err := os.Stat(filepath.Join(dir, found[1])); err != nil {
				t.Errorf("%s: %v", dir, err)
			}
		}
	}
	if named < 20 {
		t.Errorf("found only %d files", named)
	}
}
