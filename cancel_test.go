//go:build linux

package mp_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp"
)

// newFIFO creates a named pipe for the function wait. open blocks until the task has started, and
// returns a function that closes the pipe.
func newFIFO(t *testing.T) (open func() func(), name string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	return func() func() {
		r, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		return func() { _ = r.Close() }
	}, name
}

func onePID(t *testing.T, pool *mp.Pool) int {
	t.Helper()
	pid, err := mp.Call(t.Context(), pool, getpid, 0)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// B4: a task that heeds its context ends by itself, and its worker survives.
func TestCancelHeeded(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	pid := onePID(t, pool)
	for range 3 {
		open, name := newFIFO(t)
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() {
			_, err := mp.Call(ctx, pool, wait, waiting{FIFO: name, Heed: true})
			result <- err
		}()
		end := open()
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		end()
	}

	if now := onePID(t, pool); now != pid {
		t.Errorf("the worker was replaced: %d, now %d", pid, now)
	}
}

// A task that ignores its context is killed with its worker. Tasks queued behind it run on others.
func TestCancelIgnored(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	pid := onePID(t, pool)
	open, name := newFIFO(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stuck := mp.Submit(ctx, pool, wait, waiting{FIFO: name})
	end := open()
	behind := mp.Submit(t.Context(), pool, square, 5)
	cancel()
	_, err := stuck.Result(t.Context())
	var w *mp.WorkerError
	if !errors.As(err, &w) || w.Reason != mp.ReasonCancelled || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}

	if v, err := behind.Result(t.Context()); v != 25 || err != nil {
		t.Errorf("the task behind it: %d, %v", v, err)
	}
	end()
	if now := onePID(t, pool); now == pid {
		t.Error("the worker was not replaced")
	}
}

// A cancelled task that has not started never runs, and the tasks behind it do.
func TestCancelPending(t *testing.T) { // F2
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	open, name := newFIFO(t)
	first := mp.Submit(t.Context(), pool, wait, waiting{FIFO: name, Heed: true})
	end := open()
	file := filepath.Join(t.TempDir(), "notes")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	var all []*mp.Future[int]
	for i := range 10 {
		all = append(all, mp.Submit(t.Context(), pool, note, noted{N: i, File: file}))
	}
	for _, f := range all[:5] {
		if f.State() != mp.Pending || !f.Cancel() {
			t.Errorf("cannot cancel a future that is %s", f.State())
		}
		if _, err := f.Result(t.Context()); !errors.Is(err, context.Canceled) || f.State() != mp.Cancelled {
			t.Errorf("got %v, %s", err, f.State())
		}
	}

	first.Cancel()
	end()
	for i, f := range all[5:] {
		if v, err := f.Result(t.Context()); v != 5+i || err != nil {
			t.Errorf("got %d, %v", v, err)
		}
	}

	for i, n := range readNotes(t, file) {
		if i < 5 || n != 1 {
			t.Errorf("task %d was run %d times", i, n)
		}
	}
}

// When a Map's context ends, its running tasks are cancelled, and the pool can be used again.
func TestCancelMap(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 2})
	open, name := newFIFO(t)
	ctx, cancel := context.WithCancel(t.Context())
	in := []waiting{{FIFO: name, Heed: true}, {FIFO: name, Heed: true}, {FIFO: name, Heed: true}}
	result := make(chan error, 1)
	go func() {
		_, err := mp.Map(ctx, pool, wait, in)
		result <- err
	}()

	end := open()
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	end()
	if out, err := mp.Map(t.Context(), pool, square, []int{1, 2, 3}); err != nil || !slices.Equal(out, []int{1, 4, 9}) {
		t.Errorf("got %v, %v", out, err)
	}
}

// If the worker is stopped before a task has started, the end of the context frees the caller.
func TestCancelOnStoppedWorker(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	pid := onePID(t, pool)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WSTOPPED|unix.WNOWAIT, nil); err != nil { // it may not have stopped yet
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	f := mp.Submit(ctx, pool, square, 1)
	cancel()
	if _, err := f.Result(t.Context()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}

	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if v, err := mp.Call(t.Context(), pool, square, 4); v != 16 || err != nil {
		t.Errorf("got %d, %v", v, err)
	}
}

// Leaving a stream's loop cancels the running tasks and does not wait for an input that blocks.
func TestStreamBreak(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 2})
	release := make(chan struct{})
	defer close(release)
	blocked := func(yield func(int) bool) {
		if yield(1) && yield(2) {
			<-release
		}
	}

	for v, err := range mp.Stream(t.Context(), pool, square, blocked) {
		if v != 1 || err != nil {
			t.Errorf("got %d, %v", v, err)
		}
		break
	}

	// A slow input does not delay results.
	n := 0
	for range mp.Stream(t.Context(), pool, square, blocked) {
		if n++; n == 2 {
			break
		}
	}
}

// A stream reads ahead only as far as the workers need.
func TestStreamReadsAheadLittle(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 2})
	open, name := newFIFO(t)
	ctx, cancel := context.WithCancel(t.Context())
	read := make(chan struct{}, 1000)
	input := func(yield func(waiting) bool) {
		for yield(waiting{FIFO: name, Heed: true}) {
			read <- struct{}{}
		}
	}

	over := make(chan struct{})
	go func() {
		defer close(over)
		for range mp.Stream(ctx, pool, wait, input) {
		}
	}()

	end := open()
	cancel()
	<-over
	end()
	if n := len(read); n > 10 {
		t.Errorf("read %d elements ahead", n)
	}
}

// A counted context counts how often it is watched.
type counted struct {
	context.Context
	watched, left atomic.Int32
}

// Value hides the embedded context. Package context would otherwise watch that one directly.
func (c *counted) Value(any) any { return nil }

func (c *counted) AfterFunc(f func()) func() bool {
	c.watched.Add(1)
	stop := context.AfterFunc(c.Context, f)
	return func() bool {
		c.left.Add(1)
		return stop()
	}
}

// All tasks of a context and of contexts derived from it end with it. A task of another context
// goes on. The pool watches a context once for all its tasks, and stops when they are done.
func TestOneContextOfMany(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1, Backlog: 2000})
	open, name := newFIFO(t)
	first := mp.Submit(t.Context(), pool, wait, waiting{FIFO: name, Heed: true})
	defer open()()
	inner, cancel := context.WithCancel(t.Context())
	ctx := &counted{Context: inner}
	type key struct{}
	derived := context.WithValue(ctx, key{}, 1)
	var futures []*mp.Future[int]
	for i := range 500 {
		futures = append(futures, mp.Submit(ctx, pool, square, i), mp.Submit(derived, pool, square, i))
	}
	other := mp.Submit(t.Context(), pool, square, 3)
	futures[0].Cancel()
	cancel()
	for i, f := range futures {
		if _, err := f.Result(t.Context()); !errors.Is(err, context.Canceled) {
			t.Fatalf("task %d: %v", i, err)
		}
	}

	if s := first.State(); s != mp.Running {
		t.Errorf("a task of another context is %v", s)
	}
	first.Cancel()
	if v, err := other.Result(t.Context()); v != 9 || err != nil {
		t.Errorf("%d, %v", v, err)
	}
	if n := ctx.watched.Load(); n != 1 {
		t.Errorf("watched %d times", n)
	}

	done := &counted{Context: t.Context()}
	for i := range 100 {
		if _, err := mp.Call(done, pool, square, i); err != nil {
			t.Fatal(err)
		}
	}

	if done.watched.Load() != done.left.Load() {
		t.Errorf("watched %d times, left %d times", done.watched.Load(), done.left.Load())
	}
}
