//go:build linux

package mp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
)

// kept holds the memory that grow allocates.
var kept [][]byte

var (
	grow = mp.Register("grow", func(_ context.Context, n int) (int, error) {
		if n > 0 {
			kept = append(kept, bytes.Repeat([]byte{1}, n))
		}
		return os.Getpid(), nil
	})
	whoami = mp.Register("whoami", func(ctx context.Context, _ int) (identity, error) {
		info, _ := mp.CurrentTask(ctx)
		return identity{os.Getpid(), info.Worker}, nil
	})
	// setupIf fails while the file Must does not exist, and counts its calls in the file Calls.
	setupIf = mp.Register("setupIf", func(_ context.Context, f setupFiles) (int, error) {
		if err := (setupArg{File: f.Calls}).do(); err != nil {
			return 0, err
		}
		_, err := os.Stat(f.Must)
		return 0, err
	})
)

type identity struct{ PID, Worker int }

type setupFiles struct{ Calls, Must string }

// until polls for a state that cannot be waited for.
func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(never); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("in vain: ", what)
		}
	}
}

func lines(t testing.TB, file string) int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return bytes.Count(b, []byte("\n"))
}

// O26 E12: a worker is replaced after its number of tasks and never runs one more.
func TestRecycleAfterTasks(t *testing.T) {
	const limit, n = 3, 50
	torn := filepath.Join(t.TempDir(), "torn")
	pool := newPool(t, mp.PoolConfig{Workers: 2, Recycle: mp.Recycle{Tasks: limit}, Teardown: setup.With(setupArg{File: torn})})
	ran := map[int]int{}
	for name, run := range map[string]func() ([]int, error){
		"Map":    func() ([]int, error) { return mp.Map(t.Context(), pool, getpid, make([]int, n)) },
		"chunks": func() ([]int, error) { return mp.Map(t.Context(), pool, getpid, make([]int, n), mp.ChunkSize(7)) },
		"Call": func() (pids []int, err error) {
			for range n {
				pid, err := mp.Call(t.Context(), pool, getpid, 0)
				if err != nil {
					return nil, err
				}
				pids = append(pids, pid)
			}
			return pids, nil
		},
	} {
		pids, err := run()
		if err != nil || len(pids) != n {
			t.Fatalf("%s: %d results, %v", name, len(pids), err)
		}
		for _, pid := range pids {
			ran[pid]++
		}
	}

	for pid, n := range ran {
		if n > limit {
			t.Errorf("worker %d ran %d tasks", pid, n)
		}
	}

	if err := pool.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := pool.Stats()
	if s.Died != 0 || s.Recycled < s.Started-s.Workers || s.Started < 3*n/limit {
		t.Errorf("%+v", s)
	}

	if n := lines(t, torn); n != s.Started {
		t.Errorf("%d of %d workers tore down", n, s.Started)
	}
}

// The next worker takes the slot while the previous one tears down. When as many workers tear down
// as there are slots, tasks wait.
func TestTeardownBesideTheNext(t *testing.T) {
	dir := t.TempDir()
	gate := filepath.Join(dir, "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	pool := newPool(t, mp.PoolConfig{Workers: 1, Recycle: mp.Recycle{Tasks: 1}, Teardown: wait.With(waiting{FIFO: gate, Heed: true})})
	for range 2 { // the first worker's teardown waits for a reader of the gate
		if _, err := mp.Call(t.Context(), pool, square, 1); err != nil {
			t.Fatal(err)
		}
	}

	third := mp.Submit(t.Context(), pool, square, 3)
	if s := pool.Stats(); s.Started != 2 || s.Recycled != 1 || third.State() != mp.Pending {
		t.Errorf("%+v, the third task is %s", s, third.State())
	}
	if err := pool.Close(); err != nil {
		t.Fatal(err)
	}
}

// B6: a worker that has grown is replaced.
func TestRecycleByMemory(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1, Recycle: mp.Recycle{Memory: 128 << 20}})
	call := func(n int) int {
		pid, err := mp.Call(t.Context(), pool, grow, n)
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}

	first := call(0)
	if pid := call(1 << 20); pid != first {
		t.Errorf("a small worker made way")
	}
	if pid := call(192 << 20); pid != first {
		t.Errorf("a small worker made way")
	}
	if pid := call(0); pid == first {
		t.Errorf("a large worker went on")
	}
}

func TestSpares(t *testing.T) {
	began := filepath.Join(t.TempDir(), "setup")
	pool := newPool(t, mp.PoolConfig{Workers: 1, Spares: 2, Setup: setup.With(setupArg{File: began})})
	ready := func() { until(t, "the spares are ready", func() bool { return pool.Stats().Spares == 2 }) }
	ready()
	starts := 3
	for round := range 3 {
		before, err := mp.Call(t.Context(), pool, whoami, 0)
		if err != nil || before.Worker != 1 {
			t.Fatalf("%+v, %v", before, err)
		}
		if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}

		until(t, "it is gone", func() bool { return pool.Stats().Died == round+1 })
		after, err := mp.Call(t.Context(), pool, whoami, 0)
		if err != nil || after.Worker != 1 || after.PID == before.PID {
			t.Fatalf("%+v, %v", after, err)
		}
		ready()
		starts++
		if n := lines(t, began); n != starts {
			t.Errorf("%d setups, not %d", n, starts)
		}
	}

	if err := pool.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A spare that dies is replaced, and no task is affected.
func TestSparesDie(t *testing.T) {
	began := filepath.Join(t.TempDir(), "setup")
	pool := newPool(t, mp.PoolConfig{Workers: 1, Spares: 1, Setup: setup.With(setupArg{File: began})})
	worker, err := mp.Call(t.Context(), pool, getpid, 0)
	if err != nil {
		t.Fatal(err)
	}

	killed := map[int]bool{}
	for range 3 {
		until(t, "another spare", func() bool {
			b, _ := os.ReadFile(began)
			for _, field := range bytes.Fields(b) {
				if pid, _ := strconv.Atoi(string(field)); pid != worker && !killed[pid] && pool.Stats().Spares == 1 {
					killed[pid] = true
					return syscall.Kill(pid, syscall.SIGKILL) == nil
				}
			}
			return false
		})
	}

	if pid, err := mp.Call(t.Context(), pool, getpid, 0); err != nil || pid != worker {
		t.Errorf("%d, %v", pid, err)
	}
}

// Stats reports spares that cannot be started, and the pool works.
func TestSparesCannotStart(t *testing.T) {
	dir := t.TempDir()
	files := setupFiles{Calls: dir + "/calls", Must: dir + "/must"}
	if err := os.WriteFile(files.Must, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	var log buffer
	pool := newPool(t, mp.PoolConfig{
		Workers: 1, Spares: 1, Setup: setupIf.With(files), Restart: mp.Restart{Attempts: 2, Backoff: time.Millisecond, MaxBackoff: time.Millisecond},
		Output: mp.Output{Logger: slog.New(slog.NewTextHandler(&log, nil))},
	})
	if err := pool.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}

	until(t, "the spare is ready", func() bool { return pool.Stats().Spares == 1 })
	if err := os.Remove(files.Must); err != nil {
		t.Fatal(err)
	}
	pid, err := mp.Call(t.Context(), pool, getpid, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil { // the spare replaces it
		t.Fatal(err)
	}
	until(t, "a word on it", func() bool {
		return slices.ContainsFunc(log.lines(), func(l string) bool { return strings.Contains(l, "no spare worker can be started") })
	})
	if _, err := mp.Call(t.Context(), pool, square, 1); err != nil {
		t.Error(err)
	}
}

// B8: a running pool grows and shrinks, and loses no task.
func TestResize(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	if err := pool.Resize(0); err == nil || !strings.Contains(err.Error(), "at least one") {
		t.Errorf("to 0: %v", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	streamed := make(chan error, 1)
	go func() { streamed <- streamUntil(ctx, pool) }()
	for _, n := range []int{4, 2, 5, 1, 3} {
		if err := pool.Resize(n); err != nil {
			t.Fatal(err)
		}
		if err := pool.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		until(t, "as many workers as asked for", func() bool { return len(pool.Workers()) == n })
		squares, err := mp.Map(t.Context(), pool, square, []int{1, 2, 3})
		if err != nil || !slices.Equal(squares, []int{1, 4, 9}) {
			t.Fatal(squares, err)
		}
	}

	cancel()
	if err := <-streamed; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if s := pool.Stats(); s.Died != 0 || s.Workers != 3 || s.Recycled != s.Started-3 {
		t.Errorf("%+v", s)
	}

	_ = pool.Close()
	if err := pool.Resize(2); !errors.Is(err, mp.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := pool.Ready(t.Context()); !errors.Is(err, mp.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// streamUntil checks the results of an endless stream.
func streamUntil(ctx context.Context, pool *mp.Pool) error {
	numbers := func(yield func(int, error) bool) {
		for i := 0; yield(i, nil); i++ {
		}
	}
	i := 0
	for s, err := range mp.Stream(ctx, pool, square, numbers) {
		if err != nil {
			return err
		}
		if s != i*i {
			return errors.New("a wrong result")
		}
		i++
	}
	return io.ErrUnexpectedEOF
}

// A surplus worker finishes its current task. Tasks that wait behind it go to other workers.
func TestResizeWaitsForTheRunning(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 2})
	if err := pool.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var running []*mp.Future[string]
	for range 2 {
		open, name := newFIFO(t)
		running = append(running, mp.Submit(ctx, pool, wait, waiting{FIFO: name, Heed: true}))
		defer open()()
	}

	var behind []*mp.Future[int]
	for range 10 {
		behind = append(behind, mp.Submit(t.Context(), pool, square, 3))
	}
	if err := pool.Resize(1); err != nil {
		t.Fatal(err)
	}
	if n := len(pool.Workers()); n != 2 {
		t.Errorf("%d workers while both run a task", n)
	}
	cancel()
	for _, f := range running {
		if _, err := f.Result(t.Context()); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}

	for _, f := range behind {
		if n, err := f.Result(t.Context()); n != 9 || err != nil {
			t.Error(n, err)
		}
	}

	until(t, "one worker", func() bool { return len(pool.Workers()) == 1 })
}

// B11 E15: a pool in which no worker has served gives up after the configured number of attempts.
// Ready reports that, and Resize tries again.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	files := setupFiles{Calls: dir + "/calls", Must: dir + "/must"}
	pool := newPool(t, mp.PoolConfig{
		Workers: 1, Setup: setupIf.With(files), Restart: mp.Restart{Attempts: 3, Backoff: time.Millisecond},
		Output: mp.Output{Logger: slog.New(slog.DiscardHandler)},
	})

	var s *mp.StartError
	if err := pool.Ready(t.Context()); !errors.As(err, &s) {
		t.Fatalf("Ready: %v", err)
	}

	if _, err := mp.Call(t.Context(), pool, square, 1); !errors.As(err, &s) {
		t.Errorf("Call: %v", err)
	}
	if n := lines(t, files.Calls); n != 3 {
		t.Errorf("%d attempts", n)
	}
	if err := os.WriteFile(files.Must, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := pool.Resize(2); err != nil {
		t.Fatal(err)
	}
	if err := pool.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := mp.Call(t.Context(), pool, square, 3); n != 9 || err != nil {
		t.Error(n, err)
	}
}
