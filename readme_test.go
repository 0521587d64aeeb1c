package mp_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

var (
	command       = regexp.MustCompile(`(?m)^    (.*\S)$`)
	readmeProgram = regexp.MustCompile("(?s)```go\n(package main\n.*?)```\n.*?```\n(.*?)```")
	pidOfWorker   = regexp.MustCompile(`worker \d+ \(pid \d+\)`)
)

// The first screen of README shows two commands and a whole program.
func TestReadmeBegins(t *testing.T) {
	text := read(t, "README.md")
	if lines := strings.Count(text, "\n"); lines < 130 || lines > 170 {
		t.Errorf("it has %d lines, not 130 to 170", lines)
	}

	before, _, ok := strings.Cut(text, "```go\npackage main\n")
	if lines := strings.Count(before, "\n") + 1; !ok || lines >= 30 {
		t.Errorf("the first program begins in line %d", lines)
	}
	if strings.Contains(before, "```") {
		t.Error("something comes before the first program")
	}
	var commands []string
	for _, c := range command.FindAllStringSubmatch(before, -1) {
		run, _, _ := strings.Cut(c[1], "#")
		commands = append(commands, strings.TrimSpace(run))
	}

	if want := []string{"go run ./examples/hostile", "go test work"}; !slices.Equal(commands, want) {
		t.Errorf("the first commands are %q, not %q", commands, want)
	}
}

// The first program of README is short, and prints what README says.
func TestReadmeProgramPrints(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("workers need Linux")
	}

	found := readmeProgram.FindStringSubmatch(read(t, "README.md"))
	if found == nil {
		t.Fatal("there is no program with its output")
	}

	program, want := found[1], found[2]
	if lines := strings.Count(program, "\n"); lines > 25 {
		t.Errorf("it has %d lines", lines)
	}
	main := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(main, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	c := exec.Command("go", "run", main)
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	const worker = "worker N (pid N)"
	got := pidOfWorker.ReplaceAllString(string(out), worker)
	if want = pidOfWorker.ReplaceAllString(want, worker); got != want {
		t.Errorf("it prints\n%s\nnot\n%s", got, want)
	}
}

var costRow = regexp.MustCompile(`(?m)^\|[^|]*\| ([\d.,]+)[^|]*\|[^|]*\| ([\d.,]+)[^|]*\|$`)

// Both figures of each row under Cost are in one row of docs/performance.md.
func TestReadmeCostsWereMeasured(t *testing.T) {
	_, costs, _ := strings.Cut(read(t, "README.md"), "\n## Cost\n")
	costs, _, _ = strings.Cut(costs, "\n## ")
	measured := strings.Split(read(t, "docs/performance.md"), "\n")
	rows := costRow.FindAllStringSubmatch(costs, -1)
	if len(rows) < 5 {
		t.Errorf("there are only %d rows", len(rows))
	}

	for _, row := range rows {
		ours, theirs := strings.ReplaceAll(row[1], ",", ""), strings.ReplaceAll(row[2], ",", "")
		if !slices.ContainsFunc(measured, func(line string) bool {
			figures := strings.Fields(line)
			return slices.Contains(figures, ours) && slices.Contains(figures, theirs)
		}) {
			t.Errorf("docs/performance.md has no row with %s and %s", ours, theirs)
		}
	}
}

// README leads to all documents.
func TestReadmeListsDocuments(t *testing.T) {
	text := read(t, "README.md")
	for _, doc := range documents(t) {
		if doc != "README.md" && !strings.Contains(text, "]("+doc+")") {
			t.Errorf("README does not lead to %s", doc)
		}
	}
}

// The list of examples has every example, and the command that runs it.
func TestDocumentsListExamples(t *testing.T) {
	text := read(t, "examples/README.md")
	entries, err := os.ReadDir("examples")
	if err != nil {
		t.Fatal(err)
	}

	for _, e := range entries {
		name := e.Name()
		if !e.IsDir() || name == "internal" {
			continue
		}
		if !strings.Contains(text, "| ["+name+"](") {
			t.Errorf("the table lacks %s", name)
		}
		if !strings.Contains(text, "\n## "+name+"\n\n    go run ./examples/"+name) {
			t.Errorf("there is no section %s that begins with its command", name)
		}
	}
}

var (
	aTest   = regexp.MustCompile("`(Test\\w+)`(?:\\s+in\\s+`([\\w/]+)`)?")
	section = regexp.MustCompile(`(?m)^## `)
)

// Each guarantee names tests that exist.
func TestDocumentsNameTests(t *testing.T) {
	guarantees := section.Split(read(t, "docs/guarantees.md"), -1)[1:]
	if len(guarantees) != 9 {
		t.Errorf("there are %d guarantees, not 9", len(guarantees))
	}

	for _, g := range guarantees {
		title, _, _ := strings.Cut(g, "\n")
		for _, part := range []string{"Promise", "Rests on", "Limits", "Tests"} {
			if !strings.Contains(g, "\n**"+part+".** ") {
				t.Errorf("%s: there is no %q", title, part)
			}
		}

		tests := aTest.FindAllStringSubmatch(g, -1)
		if len(tests) == 0 {
			t.Errorf("%s: it names no test", title)
		}
		for _, named := range tests {
			if !hasTest(t, named[2], named[1]) {
				t.Errorf("%s: there is no %s in %q", title, named[1], named[2])
			}
		}
	}
}

// hasTest reports whether dir has a test of that name. Package mptest has one that is not in a test
// file.
func hasTest(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(file string) bool {
		return strings.Contains(read(t, file), "\nfunc "+name+"(t *testing.T")
	})
}
