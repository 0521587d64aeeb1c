//go:build linux

package main

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-multiprocessing/mp/mptest"
)

func TestMain(m *testing.M) { mptest.Main(m) }

// newJob returns a job with files that have the given texts, by name.
func newJob(t *testing.T, texts map[string]string) job {
	t.Helper()
	j := job{dir: t.TempDir(), names: slices.Sorted(maps.Keys(texts))}
	for i, name := range j.names {
		if err := os.MkdirAll(filepath.Dir(j.path(i)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(j.path(i), []byte(texts[name]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return j
}

// few contains files of all kinds: empty, binary, and larger than the room in a queue.
var few = map[string]string{
	"a.txt":     "one fish, two fish",
	"dir/b.txt": "red fish; blue_fish 2\n",
	"dir/empty": "",
	"binary":    "fish \xff\xfe",
	"large":     strings.Repeat("fish and chips ", 100_000),
}

func check(t *testing.T, j job, workers int) {
	t.Helper()
	var archive bytes.Buffer
	got, err := inStages(t.Context(), j, workers, &archive)
	if err != nil {
		t.Fatal(err)
	}

	want, err := inOneProcess(t.Context(), j, io.Discard)
	if err != nil {
		t.Fatal(err)
	}

	if err := got.equal(want); err != nil {
		t.Error(err)
	}
	z, err := zip.NewReader(bytes.NewReader(archive.Bytes()), int64(archive.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if len(z.File) != len(j.names) {
		t.Errorf("%d files of %d are in the archive", len(z.File), len(j.names))
	}

	for i, name := range j.names {
		want, err := os.ReadFile(j.path(i))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := fs.ReadFile(z, name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes of %d, %v", name, len(got), len(want), err)
		}
	}
}

func TestStages(t *testing.T) {
	mptest.NoLeaks(t)
	many := map[string]string{}
	for i := range 20 * waiting { // more than all queues have room for
		many[fmt.Sprintf("%d/%d", i%7, i)] = strings.Repeat(fmt.Sprintf("word%d common ", i%50), i)
	}
	for name, texts := range map[string]map[string]string{"few": few, "many": many} {
		for _, workers := range []int{1, 2} {
			t.Run(fmt.Sprint(name, workers), func(t *testing.T) { check(t, newJob(t, texts), workers) })
		}
	}
}

func TestIndex(t *testing.T) {
	r, err := inOneProcess(t.Context(), newJob(t, few), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	// File a.txt is 0, dir/b.txt 2 and large 4; binary and dir/empty have no words.
	want := index{
		"one": {0}, "two": {0}, "fish": {0, 2, 4}, "red": {2}, "blue_fish": {2}, "2": {2}, "and": {4}, "chips": {4},
	}
	if !maps.EqualFunc(r.words, want, slices.Equal) {
		t.Errorf("got %v", r.words)
	}
	if got := maxCommon(r.words, 2); !slices.Equal(got, []string{"fish", "2"}) {
		t.Errorf("most common are %v", got)
	}
}

// A file that vanishes after it was listed is reported, and the other files are processed.
func TestVanishedFile(t *testing.T) {
	j := newJob(t, few)
	j.names = append(j.names, "gone")
	m, err := measure(t.Context(), j, options{workers: 2, check: true})
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range m.files {
		if bad := f.Problem != ""; bad != (j.names[i] == "gone") {
			t.Errorf("%s: %+v", j.names[i], f)
		}
	}
	var out bytes.Buffer
	if err := writeReport(&out, m); err != nil || !strings.Contains(out.String(), "unreadable  1\n") {
		t.Errorf("%v, got\n%s", err, out.String())
	}
}

func TestDifference(t *testing.T) {
	r, err := inOneProcess(t.Context(), newJob(t, few), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	files := slices.Clone(r.files)
	files[1].PackedCRC++
	words := maps.Clone(r.words)
	words["one"] = []int{1}
	for _, other := range []result{{files, r.words}, {r.files, words}} {
		if r.equal(other) == nil {
			t.Error("no difference was found")
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// An error in the middle of the job, when the stages are working and the queues are full, ends the
// whole job.
func TestEndsInTheMiddle(t *testing.T) {
	j := newJob(t, few)
	for len(j.names) < 50*waiting {
		j.names = append(j.names, "large")
	}

	t.Run("cancelled", func(t *testing.T) {
		mptest.NoLeaks(t)
		ctx, cancel := context.WithCancel(t.Context())
		_, err := inStages(ctx, j, 2, writerFunc(func(b []byte) (int, error) {
			cancel()
			return len(b), nil
		}))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})

	t.Run("disk full", func(t *testing.T) {
		mptest.NoLeaks(t)
		full := errors.New("disk full")
		_, err := inStages(t.Context(), j, 2, writerFunc(func([]byte) (int, error) { return 0, full }))
		if !errors.Is(err, full) {
			t.Errorf("got %v", err)
		}
	})

	t.Run("half an archive", func(t *testing.T) {
		mptest.NoLeaks(t)
		name := filepath.Join(t.TempDir(), "x.zip")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := run(ctx, io.Discard, options{dir: j.dir, archive: name, workers: 1}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("half an archive was left: %v", err)
		}
	})
}

func TestReport(t *testing.T) {
	j := newJob(t, few)
	archive := filepath.Join(t.TempDir(), "x.zip")
	var out bytes.Buffer
	if err := run(t.Context(), &out, options{dir: j.dir, archive: archive, workers: 1, check: true}); err != nil {
		t.Fatal(err)
	}

	for _, want := range []string{"files       5\n", "words       8\n", "  fish       3\n", "both come to the same\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q", want)
		}
	}

	if t.Failed() {
		t.Log(out.String())
	}
	z, err := zip.OpenReader(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	if len(z.File) != 5 {
		t.Errorf("%d files are in the archive", len(z.File))
	}
}

func TestBadDirectories(t *testing.T) {
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "missing")} {
		if err := run(t.Context(), io.Discard, options{dir: dir, workers: 1}); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: got %v", dir, err)
		}
	}
}
