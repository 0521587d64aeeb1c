package mp_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// An oldName is a word that names used to contain. Prose may still use it.
type oldName struct {
	words string
	now   string // what names say instead
	in    string // directories, separated by spaces; empty for the whole repository
	whole bool   // only a name that is the word itself, in any case; otherwise any name with the word in it
}

var oldNames = []oldName{
	{words: "crew", now: "pool"},
	{words: "member members", now: "worker", in: "internal/pool"},
	{words: "place places", now: "slot", in: "internal/pool"},
	{words: "place places", now: "ref", in: "internal/objects"},
	{words: "place places", now: "elem", in: "internal/park"},
	{words: "keeper keepers", now: "supervisor", in: "internal/pool"},
	{words: "keeper keepers", now: "recorder", in: "internal/logs"},
	{words: "runner", now: "task or handler"},

	{words: "bury buries buried burying burial", now: "reap"},
	{words: "rites", now: "drainOutput"},
	{words: "testament", now: "exitReport"},
	{words: "hungry", now: "wantsMore or starved"},
	{words: "tired", now: "idleTooLong"},
	{words: "doomed", now: "killing", in: "internal"},
	{words: "deaf", now: "onSocketLost"},
	{words: "ears", now: "readerDone"},
	{words: "blame", now: "setCause"},
	{words: "condemn", now: "killBroken"},

	{words: "meet meets meeting", now: "attach", in: "internal/objects internal/segments internal/spawn ipc"},
	{words: "made", now: "own or Ready", in: "internal/objects internal/segments", whole: true},
	{words: "met", now: "knownTo or foreign", in: "internal/objects internal/segments"},
	{words: "held", now: "Owned", in: "internal/segments"},
	{words: "held", now: "Ownership", in: "internal/xsync", whole: true},
	{words: "hold", now: "what it bounds", in: "internal/link internal/segments", whole: true},
	{words: "hall halls", now: "largeArena", in: "internal/objects"},
	{words: "linger", now: "maxEmptyArena", in: "internal/objects"},
	{words: "lull", now: "maxPromptDelay"},
	{words: "look looks looking", now: "check or what it bounds", in: "internal/pool internal/link internal/objects internal/park"},
	{words: "look", now: "trace or WithSegment", in: "internal/segments", whole: true},
	{words: "looked", now: "observed", in: "internal/task"},
	{words: "brief", now: "what it bounds", in: "internal/pool"},
	{words: "patience", now: "what it bounds"},

	{words: "lot lots", now: "WaitTable", in: "internal manager ipc"},
	{words: "site sites", now: "WaitQueue", in: "internal manager ipc"},
	{words: "mail mails", now: "Mailboxes", in: "internal manager ipc"},
	{words: "bell bells", now: "doorbell or wake", in: "internal manager"},
	{words: "rope ropes", now: "doorbellWriter"},
	{words: "trip trips", now: "epoch", in: "internal/xsync internal/segments internal/objects ipc"},

	{words: "face faces", now: "canonical", in: "ipc"},
	{words: "made", now: "publish", in: "ipc", whole: true},
	{words: "collected", now: "dropIfUnused", in: "ipc", whole: true},
	{words: "outside", now: "spill", in: "ipc"},
	{words: "parcel parcels", now: "spillWriter", in: "ipc"},
	{words: "place places", now: "the spill it refers to", in: "ipc"},
}

// oldPackages are former names and directories of packages.
var oldPackages = []string{
	"internal/crew", "internal/share", "internal/broker", "internal/runner", "internal/ask", "internal/screen", "internal/shield",
	"internal/journal", "internal/logrec", "internal/deathtest", "internal/attacks",
}

// Names use the words of the field, and each word has one meaning: the words that were given up do
// not come back.
func TestOldNames(t *testing.T) {
	fset := token.NewFileSet()
	n := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || path == filepath.Join("examples", "codestats", "testdata")): // files that do not parse
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}

		f, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		n++
		checkNames(t, fset, filepath.ToSlash(filepath.Dir(path)), f)
		return nil
	})
	if err != nil || n < 500 {
		t.Fatal(n, err)
	}
}

func checkNames(t *testing.T, fset *token.FileSet, dir string, f *ast.File) {
	t.Helper()
	for _, old := range oldPackages {
		if dir == old || strings.HasPrefix(dir, old+"/") || f.Name.Name == filepath.Base(old) && old != "internal/attacks" {
			t.Errorf("%s: package %s has an old name", fset.Position(f.Package), f.Name.Name)
		}
	}

	for _, id := range namesIn(f) {
		for _, old := range oldNames {
			if old.applies(dir) && old.matches(id.Name) {
				t.Errorf("%s: %s has an old name: say %s", fset.Position(id.Pos()), id.Name, old.now)
			}
		}
	}
}

// applies reports whether the word is banned in a directory.
func (o oldName) applies(dir string) bool {
	return o.in == "" || slices.ContainsFunc(strings.Fields(o.in), func(in string) bool {
		return dir == in || strings.HasPrefix(dir, in+"/")
	})
}

func (o oldName) matches(name string) bool {
	words := wordsOf(name)
	if o.whole && len(words) > 1 {
		return false
	}
	return slices.ContainsFunc(strings.Fields(o.words), func(w string) bool { return slices.Contains(words, w) })
}

// wordsOf splits a name in camel case into its words, in lower case.
func wordsOf(name string) (words []string) {
	runes := []rune(name)
	begin := 0
	for i := 1; i <= len(runes); i++ {
		upper := i < len(runes) && unicode.IsUpper(runes[i])
		lowerBefore := !unicode.IsUpper(runes[i-1])
		lowerAfter := i+1 < len(runes) && unicode.IsLower(runes[i+1])
		if i == len(runes) || upper && (lowerBefore || lowerAfter) {
			words = append(words, strings.ToLower(string(runes[begin:i])))
			begin = i
		}
	}
	return words
}

// namesIn returns the names that a file declares: of types, fields, functions, methods, constants,
// variables and parameters.
func namesIn(f *ast.File) (names []*ast.Ident) {
	add := func(exprs ...ast.Expr) {
		for _, e := range exprs {
			if id, ok := e.(*ast.Ident); ok {
				names = append(names, id)
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			add(n.Name)
		case *ast.TypeSpec:
			add(n.Name)
		case *ast.ValueSpec:
			names = append(names, n.Names...)
		case *ast.Field: // also of parameters and methods
			names = append(names, n.Names...)
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				add(n.Lhs...)
			}
		case *ast.RangeStmt:
			if n.Tok == token.DEFINE {
				add(n.Key, n.Value)
			}
		}
		return true
	})
	return names
}
