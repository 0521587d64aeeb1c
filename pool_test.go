//go:build linux

package mp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/mptest"
)

func TestPoolIsExecutor(t *testing.T) {
	mptest.TestExecutor(t, func(t testing.TB) mp.Executor { return newPool(t, mp.PoolConfig{Workers: 2}) })
}

// newPool starts a pool. When the test ends, the pool is closed, and the test fails if the pool has
// left anything.
func newPool(t testing.TB, c mp.PoolConfig) *mp.Pool {
	t.Helper()
	mptest.NoLeaks(t)
	p, err := mp.NewPool(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// O17 O28: invalid values are errors that name the field.
func TestPoolConfigErrors(t *testing.T) {
	for name, c := range map[string]mp.PoolConfig{"Workers": {Workers: -1}, "Workers is 65536": {Workers: 1 << 16}, "Procs": {Procs: -1}, "Backlog": {Backlog: -1}, "Spares": {Spares: -1},
		"Recycle.Tasks": {Recycle: mp.Recycle{Tasks: -1}}, "Recycle.Memory": {Recycle: mp.Recycle{Memory: -1}}, "Recycle.Idle": {Recycle: mp.Recycle{Idle: -1}},
		"Restart.Attempts": {Restart: mp.Restart{Attempts: -1}}, "Restart.Backoff": {Restart: mp.Restart{Backoff: -1}}, "Restart.MaxBackoff": {Restart: mp.Restart{MaxBackoff: -1}},
	} {
		if _, err := mp.NewPool(c); err == nil || !strings.Contains(err.Error(), "PoolConfig."+name) {
			t.Errorf("%s: got %v", name, err)
		}
	}

	for field, cfg := range map[string]mp.PoolConfig{
		"PoolConfig.Dir": {Dir: filepath.Join(t.TempDir(), "missing")},
		"PoolConfig.Env": {Env: []string{"NO_VALUE"}},
	} {
		if _, err := mp.NewPool(cfg); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("got %v", err)
		}
	}

	if _, err := mp.NewInline(mp.InlineConfig{Workers: -1}); err == nil || !strings.Contains(err.Error(), "InlineConfig.Workers") {
		t.Errorf("got %v", err)
	}
}

// B10: workers get the environment, directory and GOMAXPROCS of the config; tasks do not see the
// variables that make a process a worker.
func TestWorkerSurroundings(t *testing.T) {
	dir := t.TempDir()
	pool := newPool(t, mp.PoolConfig{Workers: 1, Procs: 3, Dir: dir, Env: []string{"MP_TEST_COLOUR=blue"}})
	got, err := mp.Call(t.Context(), pool, environ, "MP_TEST_COLOUR")
	if want := fmt.Sprint("blue ", dir, " 3"); got != want || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if got, err := mp.Call(t.Context(), pool, environ, "MP_PROCESS_ROLE"); !strings.HasPrefix(got, " ") || err != nil {
		t.Errorf("a task sees its role: %q, %v", got, err)
	}

	for _, mine := range []string{"", "7"} { // programs that tasks start do not get the tasks' GOMAXPROCS
		if t.Setenv("GOMAXPROCS", mine); mine == "" {
			_ = os.Unsetenv("GOMAXPROCS")
		}
		pool := newPool(t, mp.PoolConfig{Workers: 1, Procs: 3})
		got, err := mp.Call(t.Context(), pool, environ, "GOMAXPROCS")
		if !strings.HasPrefix(got, mine+" ") || !strings.HasSuffix(got, " 3") || err != nil {
			t.Errorf("GOMAXPROCS=%q there: %q, %v", mine, got, err)
		}
	}

	if yes, err := mp.Call(t.Context(), pool, worker, struct{}{}); !yes || err != nil || mp.IsWorker() {
		t.Errorf("IsWorker is %t in a worker, %t here; %v", yes, mp.IsWorker(), err)
	}
}

// buffer is a writer that can be read while it is written.
type buffer struct {
	mu  sync.Mutex
	b   bytes.Buffer
	big int // the longest write that does not end a line
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !bytes.HasSuffix(p, []byte("\n")) {
		b.big = max(b.big, len(p))
	}
	return b.b.Write(p)
}

func (b *buffer) lines() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Split(strings.TrimSpace(b.b.String()), "\n")
}

func TestOutput(t *testing.T) {
	var stdout, stderr, logged buffer
	logger := slog.New(slog.NewTextHandler(&logged, nil))
	pool := newPool(t, mp.PoolConfig{Workers: 2, Output: mp.Output{Stdout: &stdout, Stderr: &stderr, Logger: logger}})
	var in []string
	for i := range 100 {
		in = append(in, fmt.Sprint(i, strings.Repeat("x", 100*i)))
	}

	if _, err := mp.Map(t.Context(), pool, say, in); err != nil {
		t.Fatal(err)
	}
	if err := pool.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}

	for _, c := range []struct {
		b      *buffer
		prefix string
		n      int
	}{{&stdout, "out ", 100}, {&stderr, "err ", 200}, {&logged, "time=", 100}} {
		lines := c.b.lines()
		if len(lines) != c.n || c.b.big > 0 {
			t.Errorf("%q: %d lines, %d bytes of a broken one", c.prefix, len(lines), c.b.big)
		}
		for _, want := range in {
			if !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, want) }) {
				t.Errorf("%q: no line with %.10s", c.prefix, want)
			}
		}
	}

	for _, l := range logged.lines() {
		if !strings.Contains(l, "worker=") || !strings.Contains(l, "pid=") || !strings.Contains(l, "n=7") {
			t.Errorf("logged %.200s", l)
		}
	}
}

// O29 B2: setup runs once in each worker before its first task, teardown runs at shutdown.
func TestSetupAndTeardown(t *testing.T) {
	before, after := filepath.Join(t.TempDir(), "before"), filepath.Join(t.TempDir(), "after")
	pool := newPool(t, mp.PoolConfig{Workers: 3, Setup: setup.With(setupArg{File: before}), Teardown: setup.With(setupArg{File: after})})
	counts, err := mp.Map(t.Context(), pool, count, make([]int, 30), mp.ChunkSize(1))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range counts {
		if n != 1 {
			t.Fatalf("setup ran %d times before a task", n)
		}
	}

	atFullStrength(t, pool, 3)
	if err := pool.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{before, after} {
		b, err := os.ReadFile(file)
		if err != nil || bytes.Count(b, []byte("\n")) != 3 {
			t.Errorf("%s: %q, %v", filepath.Base(file), b, err)
		}
	}

	if _, err := mp.Call(t.Context(), pool, square, 1); !errors.Is(err, mp.ErrClosed) { // O19
		t.Errorf("after Shutdown: %v", err)
	}
}

// E15: a worker that cannot be started ends with its reason, not in a loop.
func TestSetupFails(t *testing.T) {
	for _, c := range []struct{ fail, want string }{
		{"no such model", "no such model"},
		{"exit", "exit code 4"},
		{"killed", "signal 9"}, // as the system does with each worker whose Setup needs more memory than there is
	} {
		pool := newPool(t, mp.PoolConfig{Workers: 2, Restart: mp.Restart{Attempts: 3, Backoff: time.Millisecond}, Setup: setup.With(setupArg{Fail: c.fail}), Output: mp.Output{Logger: slog.New(slog.DiscardHandler)}})
		_, err := mp.Map(t.Context(), pool, square, []int{1, 2, 3})
		var s *mp.StartError
		if !errors.As(err, &s) || !strings.Contains(s.Error(), c.want) {
			t.Errorf("%s: got %v", c.fail, err)
		}
		if _, err := mp.Call(t.Context(), pool, square, 1); !errors.As(err, &s) {
			t.Errorf("%s: a later call: %v", c.fail, err)
		}
	}
}

func TestShutdownWaits(t *testing.T) { // E16 E17
	pool := newPool(t, mp.PoolConfig{Workers: 2})
	var all []*mp.Future[uint64]
	for range 40 {
		all = append(all, mp.Submit(t.Context(), pool, spin, 1_000_000))
	}
	if err := pool.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.State() != mp.Succeeded {
			t.Fatalf("a task is %s: %v", f.State(), f.Err())
		}
	}
}

func TestShutdownEndsWithItsContext(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	w, name := newFIFO(t)
	f := mp.Submit(t.Context(), pool, wait, waiting{FIFO: name})
	defer w()()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := pool.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := f.Result(t.Context()); !errors.Is(err, mp.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// E18 E19 E20: Close at any time settles everything.
func TestCloseSettlesAll(t *testing.T) {
	for range 20 {
		pool := newPool(t, mp.PoolConfig{Workers: 2})
		var all []*mp.Future[uint64]
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 200 {
				all = append(all, mp.Submit(t.Context(), pool, spin, 100_000))
			}
		})

		wg.Go(func() {
			for range 3 {
				_ = pool.Close() // twice is fine
			}
		})

		wg.Wait()
		for _, f := range all {
			if _, err := f.Result(t.Context()); err != nil && !errors.Is(err, mp.ErrClosed) {
				t.Fatal(err)
			}
		}
	}
}

func TestWorkers(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 2})
	atFullStrength(t, pool, 2)
	open, name := newFIFO(t)
	f := mp.Submit(t.Context(), pool, wait, waiting{FIFO: name, Heed: true})
	end := open()
	var busy, idle int
	for _, w := range pool.Workers() {
		switch w.State {
		case mp.WorkerBusy:
			if busy++; w.Task == 0 || w.Func != wait.Name() {
				t.Errorf("got %+v", w)
			}
		case mp.WorkerIdle:
			if idle++; w.Task != 0 || w.Func != "" {
				t.Errorf("got %+v", w)
			}
		}

		if w.PID == os.Getpid() || syscall.Kill(w.PID, 0) != nil {
			t.Errorf("got %+v", w)
		}
	}

	if busy != 1 || idle != 1 || f.State() != mp.Running { // F1
		t.Errorf("%d busy, %d idle, %s", busy, idle, f.State())
	}
	f.Cancel()
	end()
	<-f.Done()
}

// E10: fifteen times N tasks run on all N workers and no others.
func TestAllWorkersWork(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 4})
	atFullStrength(t, pool, 4)
	pids, err := mp.Map(t.Context(), pool, pidAfterWork, make([]int, 60))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(pids)
	if n := len(slices.Compact(pids)); n < 2 || n > 4 {
		t.Errorf("%d workers did the work", n)
	}
}

var pidAfterWork = mp.Register("pidAfterWork", func(context.Context, int) (int, error) {
	if burn(2_000_000) == 0 {
		return 0, errors.New("cannot be")
	}
	return os.Getpid(), nil
})

func TestNestedPools(t *testing.T) { // B15
	pool := newPool(t, mp.PoolConfig{Workers: 2})
	got, err := mp.Map(t.Context(), pool, nested, []int{2, 5})
	if err != nil || !slices.Equal(got[0], []int{4, 9}) || !slices.Equal(got[1], []int{25, 36}) {
		t.Errorf("got %v, %v", got, err)
	}
}

// Processes that a task starts end with its worker.
func TestChildrenOfTasksDie(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 2})
	if _, err := mp.Map(t.Context(), pool, child, make([]int, 6)); err != nil {
		t.Fatal(err)
	}
} // newPool's leak check finds survivors

func TestManyWorkers(t *testing.T) { // O31
	if testing.Short() {
		t.Skip("200 processes")
	}
	pool := newPool(t, mp.PoolConfig{Workers: 200})
	out, err := mp.Map(t.Context(), pool, square, make([]int, 10_000))
	if err != nil || len(out) != 10_000 {
		t.Errorf("got %v", err)
	}
}

// A pool with busy workers accepts a bounded number of tasks; then submission blocks.
func TestBackPressure(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1, Backlog: 10})
	open, name := newFIFO(t)
	first := mp.Submit(t.Context(), pool, wait, waiting{FIFO: name, Heed: true})
	end := open()
	ctx, cancel := context.WithCancel(t.Context())
	taken, blocked := make(chan int, 100), make(chan error, 1)
	go func() {
		for i := range 100 {
			f := mp.Submit(ctx, pool, square, i)
			if err := f.Err(); err != nil {
				blocked <- err
				return
			}
			taken <- i
		}
		blocked <- nil
	}()

	for range 10 { // these are accepted at once
		<-taken
	}
	cancel() // the blocked Submit ends with its context
	if err := <-blocked; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if n := len(taken); n > 3 { // tasks wait in the queue and at the worker
		t.Errorf("%d tasks were taken", 10+n)
	}

	first.Cancel()
	end()
	<-first.Done()
}
