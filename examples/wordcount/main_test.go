//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-multiprocessing/mp/mptest"
)

func TestMain(m *testing.M) { mptest.Main(m) }

// newTree returns a directory with files that have the given texts, by name.
func newTree(t *testing.T, texts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range texts {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var few = map[string]string{
	"a.go":         "one fish, two fish",
	"dir/b.go":     "red fish; blue_fish 2\n",
	"dir/c/d/e.go": "fisch und Fisch",
	"dir/copy.go":  "one fish, two fish",
	"dir/empty.go": "",
	"binary.go":    "fish \xff\xfe",
	"not.txt":      "fish fish fish",
}

// The words of each different text are counted once, whatever directories the text is in.
func TestCounts(t *testing.T) {
	mptest.NoLeaks(t)
	dir := newTree(t, few)
	got, err := inProcesses(t.Context(), dir, 2)
	if err != nil {
		t.Fatal(err)
	}

	if got.Files != 6 || got.Copies != 1 || got.Words["fish"] != 4 || got.Words["blue_fish"] != 1 || got.Words["Fisch"] != 1 {
		t.Errorf("%+v %v", got, got.Words)
	}

	want, err := inOneProcess(t.Context(), dir)
	if err == nil {
		err = got.equal(want)
	}
	if err != nil {
		t.Error(err)
	}
	got.Words["fish"]++
	if got.equal(want) == nil {
		t.Error("other counts are equal")
	}
}

// Real source gives the same result with and without workers, and the report says so.
func TestRun(t *testing.T) {
	mptest.NoLeaks(t)
	var out bytes.Buffer
	if err := run(t.Context(), &out, filepath.Join("..", ".."), 3); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"both come to the same", "3 workers", "different words", "func"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("no %q in\n%s", part, &out)
		}
	}
}

// A missing directory and an ended context are handled.
func TestTrouble(t *testing.T) {
	mptest.NoLeaks(t)
	r, err := inProcesses(t.Context(), filepath.Join(t.TempDir(), "none"), 1)
	if err != nil || r.Unreadable != 1 || r.Files != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(over, &bytes.Buffer{}, newTree(t, few), 1); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
