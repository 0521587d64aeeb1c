package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-multiprocessing/mp"
)

// asProgram is an environment variable. If it is set, the test binary runs as codestats.
const asProgram = "CODESTATS_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	mp.Init() // the pool's workers are this binary
	os.Exit(m.Run())
}

// The functions of testdata/tree, counted by hand.
var (
	choose      = Function{"shapes.go", "choose", 17, 21, 7}
	find        = Function{"shapes.go", "(*stack).find", 8, 8, 5}
	valid       = Function{"sub/generated.go", "kind.valid", 6, 8, 3}
	withLiteral = Function{"shapes.go", "withLiteral", 39, 3, 2}
	tie         = Function{"sub/generated.go", "tie", 16, 3, 1}
	plain       = Function{"shapes.go", "plain", 6, 1, 1}
	// The function called elsewhere, which has 1 line and complexity 1 and is at shapes.go:43,
	// comes after plain.

	treeSummary = summary{
		totals: totals{
			files: 3, unparsable: 1,
			lines: 43 + 18 + 6, functions: 7, complexity: 7 + 5 + 3 + 2 + 1 + 1 + 1,
			largest: fileSize{"shapes.go", 43},
		},
		longest:    []Function{choose, find, valid, withLiteral, tie},
		maxComplex: []Function{choose, find, valid, withLiteral, plain},
	}
)

const treeDir = "testdata/tree"

func TestWays(t *testing.T) {
	files, err := listTree(treeDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []way{inSequence, inGoroutines, inPool} {
		stats, _, err := w.timed(t.Context(), files.paths)
		if err != nil {
			t.Fatal(err)
		}
		if err := treeSummary.equal(summarize(files.names, stats)); err != nil {
			t.Errorf("%s: want and got differ: %v", w.name, err)
		}
	}
}

func TestMeasureSharesOfWorkers(t *testing.T) {
	files, err := listTree(treeDir)
	if err != nil {
		t.Fatal(err)
	}
	m, err := measure(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	checkShares(t, m.workers)
	if min(m.sequential, m.goroutines, m.pool) <= 0 {
		t.Errorf("a way took no time: %v, %v, %v", m.sequential, m.goroutines, m.pool)
	}
}

func checkShares(t *testing.T, shares []workerShare) {
	t.Helper()
	var sum workerShare
	for _, share := range shares {
		if share.Worker < 1 {
			t.Errorf("files were analysed outside of the pool: %+v", share)
		}
		sum.Files += share.Files
		sum.Lines += share.Lines
	}
	if sum.Files != treeSummary.files || sum.Lines != treeSummary.lines {
		t.Errorf("the workers did %d files and %d lines", sum.Files, sum.Lines)
	}
}

func TestSharesOf(t *testing.T) {
	got := sharesOf([]FileStats{{Worker: 2, Lines: 5}, {Worker: 1, Lines: 1}, {Worker: 2, Lines: 7}})
	want := []workerShare{{Worker: 1, Files: 1, Lines: 1}, {Worker: 2, Files: 2, Lines: 12}}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestDisagreement(t *testing.T) {
	changes := map[string]func(*summary){
		"totals":       func(s *summary) { s.complexity++ },
		"largest file": func(s *summary) { s.largest.name = "other.go" },
		"longest":      func(s *summary) { s.longest = []Function{choose, find, tie, valid, withLiteral} },
		"most complex": func(s *summary) { s.maxComplex = nil },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			other := treeSummary
			change(&other)
			if (measurement{summary: treeSummary}).agrees(inPool, other) == nil {
				t.Error("no error")
			}
		})
	}
}

// A file that vanishes after it was listed is counted and does not end the run.
func TestVanishedFile(t *testing.T) {
	files, err := listTree(treeDir)
	if err != nil {
		t.Fatal(err)
	}
	files.names = append(files.names, "gone.go")
	files.paths = append(files.paths, filepath.Join(treeDir, "gone.go"))
	m, err := measure(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	if m.files != 4 || m.unreadable != 1 || m.unparsable != 1 {
		t.Errorf("files %d, unreadable %d, unparsable %d", m.files, m.unreadable, m.unparsable)
	}
}

// A file's name may contain any bytes except a slash, and must reach the worker unchanged.
func TestOddFileNames(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a\xff.go", "b\n.go", ".go"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("package p"), 0o600); err != nil {
			t.Skipf("the file system refuses %q: %v", name, err)
		}
	}

	files, err := listTree(dir)
	if err != nil {
		t.Fatal(err)
	}

	m, err := measure(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	if m.files != 3 || m.lines != 3 || m.unreadable+m.unparsable != 0 {
		t.Errorf("%+v", m.totals)
	}
}

// Links and directories are not files, but the tree itself may be behind a link.
func TestListTreeLinks(t *testing.T) {
	dir := t.TempDir()
	link, target := filepath.Join(dir, "link"), filepath.Join(dir, "target")
	err := errors.Join(
		os.MkdirAll(filepath.Join(target, "dir.go"), 0o700),
		os.WriteFile(filepath.Join(target, "file.go"), nil, 0o600),
		os.Symlink("file.go", filepath.Join(target, "again.go")),
		os.Symlink(target, link),
	)
	if err != nil {
		t.Fatal(err)
	}

	files, err := listTree(link)
	if err != nil {
		t.Fatal(err)
	}

	if want := []string{"file.go"}; !slices.Equal(files.names, want) {
		t.Errorf("got %q, want %q", files.names, want)
	}
}

func TestCountLines(t *testing.T) {
	for src, want := range map[string]int{"": 0, "a": 1, "a\n": 1, "\n\n": 2, "a\nb": 2} {
		if got := countLines([]byte(src)); got != want {
			t.Errorf("%q has %d lines, want %d", src, got, want)
		}
	}
}

func TestReport(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out, treeDir, false); err != nil {
		t.Fatal(err)
	}

	for _, want := range []string{
		"functions        7\n",
		"mean complexity  2.86\n",
		"largest file     shapes.go (43 lines)\n",
		"  (*stack).find    8      5           shapes.go:8\n",
		"one after the other",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q", want)
		}
	}

	if t.Failed() {
		t.Log(out.String())
	}
}

func TestJSON(t *testing.T) {
	out, stderr, code := program(t, "-json", treeDir)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}

	decoder := json.NewDecoder(strings.NewReader(out))
	decoder.DisallowUnknownFields()
	var got jsonReport
	if err := decoder.Decode(&got); err != nil {
		t.Fatal(err)
	}

	checkShares(t, got.Workers)
	if min(got.SecondsSequential, got.SecondsGoroutines, got.SecondsPool) <= 0 {
		t.Error("a way took no time")
	}
	got.Workers, got.SecondsSequential, got.SecondsGoroutines, got.SecondsPool = nil, 0, 0, 0
	want, _ := json.Marshal(newJSONReport(measurement{dir: treeDir, summary: treeSummary}))
	if got, _ := json.Marshal(got); !bytes.Equal(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Scripts rely on the JSON keys, whatever the names of the fields.
func TestJSONKeys(t *testing.T) {
	encoded, err := json.Marshal(newJSONReport(measurement{summary: treeSummary}))
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(encoded, &object); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"files", "unparsable", "lines", "functions", "complexity",
		"seconds_sequential", "seconds_goroutines", "seconds_pool", "workers"} {
		if _, ok := object[key]; !ok {
			t.Errorf("no key %q in %s", key, encoded)
		}
	}
}

func TestBadDirectories(t *testing.T) {
	for name, dir := range map[string]string{
		"missing":     filepath.Join(t.TempDir(), "missing"),
		"a file":      filepath.Join(treeDir, "shapes.go"),
		"no Go files": t.TempDir(),
	} {
		t.Run(name, func(t *testing.T) {
			out, stderr, code := program(t, dir)
			if code != 1 || out != "" {
				t.Errorf("exit code %d, output %q", code, out)
			}
			if !strings.HasPrefix(stderr, "codestats: ") || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, dir) {
				t.Errorf("not one line that names the directory: %q", stderr)
			}
		})
	}
}

func TestNoGoCommand(t *testing.T) {
	t.Setenv("PATH", "")
	err := run(t.Context(), new(bytes.Buffer), "", false)
	if !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, w := range []way{inSequence, inGoroutines, inPool} {
		if _, _, err := w.timed(ctx, []string{"gone.go"}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", w.name, err)
		}
	}
}

// program runs codestats as a user would.
func program(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}
