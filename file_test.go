//go:build linux

package mp_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/mptest"
)

type withFiles struct {
	In    *os.File
	Outs  []*os.File
	Named map[string]*os.File
	Any   any
	Deep  map[int]struct{ F any }
	None  *os.File
}

func init() { mp.RegisterType[withFiles]() }

// all returns the files in a fixed order.
func (w withFiles) all() []*os.File {
	files := append([]*os.File{w.In}, w.Outs...)
	for _, name := range []string{"a", "b", "c"} {
		files = append(files, w.Named[name])
	}
	files = append(files, w.Any.(*os.File))
	for i := range len(w.Deep) {
		files = append(files, w.Deep[i].F.(*os.File))
	}
	return files
}

// swapFiles writes to its files, and returns two of them in each other's place.
var swapFiles = mp.Register("swapFiles", func(_ context.Context, w withFiles) (withFiles, error) {
	for _, f := range w.all() {
		if _, err := f.WriteString("seen as " + filepath.Base(f.Name()) + "\n"); err != nil {
			return w, err
		}
	}
	if w.None != nil {
		return w, errors.New("nil became a file")
	}
	w.In, w.Any = w.Any.(*os.File), w.In
	return w, nil
})

// N15: files arrive from any place in a value, and none is left open.
func TestFilesTravel(t *testing.T) {
	mptest.NoLeaks(t)
	for name, ex := range map[string]mp.Executor{
		"pool":   newPool(t, mp.PoolConfig{Workers: 2}),
		"inline": must(mp.NewInline(mp.InlineConfig{})),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			create := func(name string) *os.File {
				f := must(os.Create(filepath.Join(dir, name)))
				t.Cleanup(func() { _ = f.Close() })
				return f
			}

			w := withFiles{
				In: create("in"), Outs: []*os.File{create("out0"), create("out1")},
				Named: map[string]*os.File{"c": create("c"), "a": create("a"), "b": create("b")}, Any: create("any"),
				Deep: map[int]struct{ F any }{1: {create("deep1")}, 0: {create("deep0")}},
			}

			back, err := mp.Call(t.Context(), ex, swapFiles, w)
			if err != nil {
				t.Fatal(err)
			}

			for _, f := range w.all() {
				name := filepath.Base(f.Name())
				if b, err := os.ReadFile(f.Name()); string(b) != "seen as "+name+"\n" || err != nil {
					t.Errorf("%s has %q, %v", name, b, err)
				}
			}

			names := func(w withFiles) (names []string) {
				for _, f := range w.all() {
					names = append(names, filepath.Base(f.Name()))
				}
				return names
			}
			want := names(w)
			want[0], want[6] = want[6], want[0]
			if got := names(back); !slices.Equal(got, want) {
				t.Errorf("came back as %v", got)
			}
			for _, f := range back.all() {
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

var readAll = mp.Register("readAll", func(_ context.Context, f *os.File) (string, error) {
	defer f.Close()
	b, err := io.ReadAll(f)
	return string(b), err
})

// An end of a pipe can be sent, whatever the number of its descriptor. A task that dies with it and
// a task that never starts leave no duplicate open.
func TestPipesTravel(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	for range 300 { // descriptors above 256
		f := must(os.Open(os.DevNull))
		defer f.Close()
	}

	r, w := must2(os.Pipe())
	read := mp.Submit(t.Context(), pool, readAll, r)
	_ = r.Close() // the worker has a duplicate
	if _, err := w.WriteString("through"); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	if s, err := read.Result(t.Context()); s != "through" || err != nil {
		t.Error(s, err)
	}

	r, w = must2(os.Pipe())
	defer r.Close()
	if _, err := mp.Call(t.Context(), pool, dieWith, w); err == nil {
		t.Error("a dead task has a result")
	}
	ctx, cancel := context.WithCancel(t.Context())
	blocked := mp.Submit(ctx, pool, wait, waiting{Heed: true, FIFO: os.DevNull})
	never := mp.Submit(ctx, pool, readAll, w)
	cancel()
	for _, err := range []error{errOf(blocked.Result(t.Context())), errOf(never.Result(t.Context()))} {
		if err == nil {
			t.Error("a cancelled task has a result")
		}
	}

	_ = w.Close()
	if b, err := io.ReadAll(r); len(b) > 0 || err != nil { // no process has the other end
		t.Errorf("read %q, %v", b, err)
	}
	if _, err := mp.Call(t.Context(), pool, readAll, w); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("a closed file was sent: %v", err)
	}
}

func must2[A, B any](a A, b B, err error) (A, B) {
	if err != nil {
		panic(err)
	}
	return a, b
}

var dieWith = mp.Register("dieWith", func(context.Context, *os.File) (int, error) { os.Exit(3); return 0, nil })

var openTemp = mp.Register("openTemp", func(_ context.Context, n int) (*os.File, error) {
	f, err := os.CreateTemp("", "mp-test")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(strings.Repeat("x", n))
	return f, err
})

// Many files can be results of a Map and elements of a Stream.
func TestManyFiles(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 2})
	sizes := make([]int, 200)
	for i := range sizes {
		sizes[i] = i
	}
	files, err := mp.Map(t.Context(), pool, openTemp, sizes)
	if err != nil {
		t.Fatal(err)
	}

	for i, f := range files {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		defer files[i].Close()
	}

	in := func(yield func(*os.File, error) bool) {
		for _, f := range files {
			if !yield(f, nil) {
				return
			}
		}
	}

	i := 0
	for s, err := range mp.Stream(t.Context(), pool, readAll, in) {
		if len(s) != sizes[i] || err != nil {
			t.Fatalf("file %d has %d bytes, %v", i, len(s), err)
		}
		i++
	}
	if i != len(sizes) {
		t.Errorf("%d files", i)
	}
}

var setupFile *os.File

var keepFile = mp.Register("keepFile", func(_ context.Context, f *os.File) (int, error) { setupFile = f; return 0, nil })

var writeKept = mp.Register("writeKept", func(_ context.Context, s string) (int, error) { return setupFile.WriteString(s) })

// A file in the argument of a Setup reaches every worker, including replacements.
func TestSetupFile(t *testing.T) {
	f := must(os.Create(filepath.Join(t.TempDir(), "log")))
	defer f.Close()
	pool := newPool(t, mp.PoolConfig{Workers: 2, Setup: keepFile.With(f), Recycle: mp.Recycle{Tasks: 1}})
	for range 5 {
		if _, err := mp.Call(t.Context(), pool, writeKept, "x"); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(f.Name()); string(b) != "xxxxx" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

type fileAndMore struct {
	F    *os.File
	More []byte
}

var sizeOf = mp.Register("sizeOf", func(_ context.Context, f fileAndMore) (int, error) {
	return len(f.More), f.F.Close()
})

// If an element with a file does not fit into a chunk, the file goes with the next chunk only.
func TestFilesOfFullChunks(t *testing.T) {
	mptest.NoLeaks(t)
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	r, w := must2(os.Pipe())
	defer r.Close()
	args := slices.Repeat([]fileAndMore{{w, make([]byte, 30_000)}}, 100)
	if _, err := mp.Map(t.Context(), pool, sizeOf, args, mp.ChunkSize(50)); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	if err := r.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Error("somebody still has a file that was sent:", err)
	}
}
