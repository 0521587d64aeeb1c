//go:build linux

package mp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/mptest"
)

// With MPDEBUG=inline, a pool passes the conformance suite.
func TestInlinePoolIsExecutor(t *testing.T) {
	t.Setenv("MPDEBUG", "inline")
	mptest.TestExecutor(t, func(t testing.TB) mp.Executor { return newPool(t, mp.PoolConfig{Workers: 2}) })
}

var setUps, tornDown int

var (
	setUpHere  = mp.Register("setUpHere", func(_ context.Context, n int) (int, error) { setUps += n; return 0, nil })
	tearHere   = mp.Register("tearHere", func(_ context.Context, n int) (int, error) { tornDown += n; return 0, nil })
	tearMany   = mp.Register("tearMany", func(_ context.Context, n []int) (int, error) { tornDown += n[0]; return 0, nil })
	whereAmI   = mp.Register("whereAmI", func(context.Context, struct{}) (int, error) { return os.Getpid(), nil })
	waitForEnd = mp.Register("waitForEnd", func(ctx context.Context, _ struct{}) (int, error) {
		<-ctx.Done()
		return 0, ctx.Err()
	})
	failHow = mp.Register("failHow", func(_ context.Context, how string) (string, error) {
		switch how {
		case "panic":
			panic(how)
		case "error":
			return "", errors.New(how)
		}
		return how, nil
	})
)

// With MPDEBUG=inline, all tasks run in this process, also tasks that wait for later ones.
func TestInlinePool(t *testing.T) {
	mptest.NoLeaks(t)
	t.Setenv("MPDEBUG", "inline")
	ctx := t.Context()
	setUps, tornDown = 0, 0
	pool := newPool(t, mp.PoolConfig{Workers: 2, Setup: setUpHere.With(3), Teardown: tearHere.With(4)})
	if pid, err := mp.Call(ctx, pool, whereAmI, struct{}{}); pid != os.Getpid() || err != nil || setUps != 3 {
		t.Errorf("in %d, %v; %d", pid, err, setUps)
	}

	open := must(ipc.NewEvent())
	waiting := make([]*mp.Future[string], 5) // more than the pool has workers
	for i := range waiting {
		waiting[i] = mp.Submit(ctx, pool, last, lasting{Wait: open, Text: "on"})
	}
	until(t, "two run", func() bool { return pool.Stats().Busy == 2 })
	s := pool.Stats()
	if len(s.PerWorker) != 2 || s.PerWorker[0].PID != os.Getpid() || !strings.HasSuffix(s.PerWorker[0].Func, ".last") || s.PerWorker[0].Begun.IsZero() {
		t.Errorf("%+v", s)
	}

	if err := errors.Join(pool.Resize(4), pool.Ready(ctx)); err != nil {
		t.Error(err)
	}
	until(t, "four run", func() bool { return pool.Stats().Busy == 4 })
	if err := errors.Join(pool.Resize(1), open.Set()); err != nil {
		t.Error(err)
	}

	for _, f := range waiting {
		if v, err := f.Result(ctx); v != "on" || err != nil {
			t.Error(v, err)
		}
	}

	until(t, "there is one", func() bool { return len(pool.Workers()) == 1 })
	if err := pool.Shutdown(ctx); err != nil || tornDown != 4 {
		t.Errorf("%v; %d", err, tornDown)
	}
	if _, err := mp.Call(ctx, pool, whereAmI, struct{}{}); !errors.Is(err, mp.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
	if _, err := mp.NewPool(mp.PoolConfig{Setup: failHow.With("error")}); err == nil || !strings.Contains(err.Error(), "its setup") {
		t.Errorf("a setup that fails: %v", err)
	}
	_ = open.Close()
}

// However an inline pool ends, it settles all tasks. Like workers, it runs the teardown at most
// once, with the argument that it was given at the start.
func TestInlinePoolEnds(t *testing.T) {
	mptest.NoLeaks(t)
	t.Setenv("MPDEBUG", "inline")
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for range 200 {
		pool := newPool(t, mp.PoolConfig{Workers: 2})
		var all []*mp.Future[int]
		for range 4 {
			all = append(all, mp.Submit(t.Context(), pool, waitForEnd, struct{}{}))
		}
		if err := pool.Shutdown(over); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		for _, f := range all {
			if f.State() != mp.Failed && f.State() != mp.Cancelled {
				t.Fatal(f.State())
			}
		}
	}

	tornDown = 0
	arg := []int{1}
	pool := newPool(t, mp.PoolConfig{Workers: 1, Teardown: tearMany.With(arg)})
	arg[0] = 7
	if err := pool.Shutdown(t.Context()); err != nil || tornDown != 1 {
		t.Errorf("%v, %d", err, tornDown)
	}

	pool = newPool(t, mp.PoolConfig{Workers: 1, Teardown: tearMany.With(arg)})
	_ = pool.Close()
	if err := pool.Shutdown(t.Context()); err != nil || tornDown != 1 {
		t.Errorf("after Close: %v, %d", err, tornDown)
	}

	var said traced
	pool = newPool(t, mp.PoolConfig{Workers: 1, Teardown: waitForEnd.With(struct{}{}), Output: mp.Output{Stderr: &said}})
	soon, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := pool.Shutdown(soon); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(said.String(), "waitForEnd failed") {
		t.Errorf("%v; %s", err, said.String())
	}
}

// After any number of resizes, as many tasks run at once as the last Resize has asked for.
func TestInlinePoolResizes(t *testing.T) {
	mptest.NoLeaks(t)
	t.Setenv("MPDEBUG", "inline")
	pool := newPool(t, mp.PoolConfig{Workers: 4})
	ctx, cancel := context.WithCancel(t.Context())
	f := mp.MapAsync(ctx, pool, waitForEnd, make([]struct{}, 40))
	until(t, "four run", func() bool { return pool.Stats().Busy == 4 })
	for range 1000 {
		if err := errors.Join(pool.Resize(1), pool.Resize(4)); err != nil {
			t.Fatal(err)
		}
	}

	if s := pool.Stats(); s.Busy != 4 || len(s.PerWorker) != 4 {
		t.Errorf("%d of %d are busy", s.Busy, len(s.PerWorker))
	}
	if err := pool.Resize(1 << 20); err == nil {
		t.Error("a million workers")
	}
	cancel()
	<-f.Done()
}

// A log handler may panic, and may use the pool.
func TestInlineTraceHandlers(t *testing.T) {
	mptest.NoLeaks(t)
	t.Setenv("MPDEBUG", "inline,trace")
	var pool *mp.Pool
	used := make(chan error, 100)
	once := sync.Once{}
	pool = newPool(t, mp.PoolConfig{Workers: 1, Output: mp.Output{Logger: slog.New(handlerFunc(func(r slog.Record) {
		once.Do(func() {
			_, err := mp.Call(t.Context(), pool, whereAmI, struct{}{})
			used <- err
			panic("in a handler, on purpose")
		})
	}))}})

	if _, err := mp.Call(t.Context(), pool, whereAmI, struct{}{}); err != nil {
		t.Error(err)
	}
	if err := <-used; err != nil {
		t.Error(err)
	}
}

// Close cancels the contexts of running tasks.
func TestInlinePoolClose(t *testing.T) {
	mptest.NoLeaks(t)
	t.Setenv("MPDEBUG", "inline")
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	f, g := mp.Submit(t.Context(), pool, waitForEnd, struct{}{}), mp.Submit(t.Context(), pool, waitForEnd, struct{}{})
	until(t, "one runs", func() bool { return pool.Stats().Busy == 1 })
	_ = pool.Close()
	_, err := f.Result(t.Context())
	_, err2 := g.Result(t.Context())
	for _, err := range []error{err, err2} {
		if !errors.Is(err, mp.ErrClosed) && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}

// With MPDEBUG=inline, a Process runs in this process too.
func TestInlineProcess(t *testing.T) {
	mptest.NoLeaks(t)
	t.Setenv("MPDEBUG", "inline")
	for how, code := range map[string]int{"fine": 0, "error": 1, "panic": 2} {
		p := must(mp.NewProcess(failHow, how, mp.ProcessConfig{Name: how}))
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		v, err := p.Wait(t.Context())
		if got, ok := p.ExitCode(); got != code || !ok || (err == nil) != (code == 0) || code == 0 && v != how {
			t.Errorf("%s: %q, %v, %d", how, v, err, got)
		}
	}

	p := must(mp.NewProcess(waitForEnd, struct{}{}, mp.ProcessConfig{}))
	if err := p.Start(); err != nil || p.PID() != os.Getpid() || !p.Alive() {
		t.Fatal(err)
	}

	if err := p.Terminate(); err != nil {
		t.Error(err)
	}
	if _, err := p.Wait(t.Context()); err == nil {
		t.Error("it was not ended")
	}
	_ = p.Close()
}

// An unknown word in MPDEBUG is an error.
func TestDebugWords(t *testing.T) {
	t.Setenv("MPDEBUG", "trace, inlin")
	if _, err := mp.NewPool(mp.PoolConfig{}); err == nil || !strings.Contains(err.Error(), `MPDEBUG has " inlin"`) {
		t.Error(err)
	}
}

var failLate = mp.Register("failLate", func(ctx context.Context, fail bool) (int, error) {
	if fail {
		return 0, fmt.Errorf("upstream: %w", context.DeadlineExceeded)
	}
	<-ctx.Done()
	return 0, ctx.Err()
})

type lateness struct{ Begun, GoOn string } // named pipes

var beLate = mp.Register("beLate", func(ctx context.Context, l lateness) (string, error) {
	if err := os.WriteFile(l.Begun, []byte("x"), 0); err != nil { // waits for a reader
		return "", err
	}
	if _, err := os.ReadFile(l.GoOn); err != nil {
		return "", err
	}
	if ctx.Err() != nil {
		return "told", nil
	}
	return "not told", nil
})

// late returns an argument for beLate. begun waits until that task has started, and goOn lets it
// end.
func late(t *testing.T) (l lateness, begun func(), goOn func()) {
	t.Helper()
	dir := t.TempDir()
	l = lateness{filepath.Join(dir, "begun"), filepath.Join(dir, "go-on")}
	for _, name := range []string{l.Begun, l.GoOn} {
		if err := syscall.Mkfifo(name, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return l, func() { _, _ = os.ReadFile(l.Begun) }, func() { _ = os.WriteFile(l.GoOn, nil, 0) }
}

var hasDeadline = mp.Register("hasDeadline", func(ctx context.Context, _ struct{}) (bool, error) {
	_, ok := ctx.Deadline()
	return ok, nil
})

// With MPDEBUG=nodeadline, no deadline reaches a task that has started, and a cancelled task that
// takes its time is not killed.
func TestNoDeadline(t *testing.T) {
	mptest.NoLeaks(t)
	for _, mode := range []string{"nodeadline", "nodeadline,inline"} {
		t.Run(mode, func(t *testing.T) {
			t.Setenv("MPDEBUG", mode)
			pool := newPool(t, mp.PoolConfig{Workers: 1, Timeout: time.Millisecond, Grace: time.Millisecond})
			if err := pool.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}

			pids := pool.Workers()
			hour, stop := context.WithTimeout(t.Context(), time.Hour)
			defer stop()
			if told, err := mp.Call(hour, pool, hasDeadline, struct{}{}); told || err != nil {
				t.Errorf("its context has a deadline: %v", err)
			}

			over, cancel := context.WithTimeout(t.Context(), 0)
			defer cancel()
			if _, err := mp.Call(over, pool, whereAmI, struct{}{}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("what has not begun: %v", err)
			}

			for _, c := range []struct {
				name, want string
				ctx        func() (context.Context, context.CancelFunc)
				end        bool
			}{
				{"timeout", "not told", func() (context.Context, context.CancelFunc) { return context.WithCancel(t.Context()) }, false},
				{"deadline", "not told", func() (context.Context, context.CancelFunc) {
					return context.WithTimeout(t.Context(), time.Second) // the task starts earlier
				}, false},
				{"cancelled", "told", func() (context.Context, context.CancelFunc) { return context.WithCancel(t.Context()) }, true},
			} {
				l, begun, goOn := late(t)
				ctx, cancel := c.ctx()
				f := mp.Submit(ctx, pool, beLate, l)
				begun()
				if c.end {
					cancel()
				} else if _, ok := ctx.Deadline(); ok {
					<-ctx.Done()
				}

				select { // by then the task would have been killed
				case <-f.Done():
					t.Errorf("%s: %v", c.name, f.Err())
				case <-time.After(100 * time.Millisecond):
				}

				goOn()
				if got, err := f.Result(t.Context()); got != c.want || err != nil {
					t.Errorf("%s: %q, %v", c.name, got, err)
				}
				cancel()
			}

			soon, cancel := context.WithTimeout(t.Context(), time.Second) // the task starts earlier
			defer cancel()
			f := mp.Submit(soon, pool, waitForEnd, struct{}{})
			<-soon.Done()
			until(t, "it runs", func() bool { return pool.Workers()[0].Task != 0 })
			f.Cancel()
			if _, err := f.Result(t.Context()); !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled after its deadline: %v", err)
			}

			if _, err := mp.Map(t.Context(), pool, failLate, []bool{true, false}, mp.ChunkSize(1)); err == nil || !strings.Contains(err.Error(), "element 0") {
				t.Errorf("an error that is like a deadline: %v", err)
			}
			if again := pool.Workers(); again[0].PID != pids[0].PID {
				t.Error("the worker was replaced")
			}
		})
	}
}

// A traced is a log that can be read while it is written.
type traced struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *traced) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *traced) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// With MPDEBUG=trace, the life of every worker and task is logged.
func TestTrace(t *testing.T) {
	mptest.NoLeaks(t)
	for mode, want := range map[string][]string{
		"trace": {
			`msg="mp: worker started" name=worker-`, `msg="mp: worker is ready"`,
			`msg="mp: task begins" task=1 func=` + whereAmI.Name() + ` attempt=1 worker=1 pid=`, `msg="mp: task ended" task=1 took=`, `outcome=result`,
			`msg="mp: task begins" task=2 func=` + failHow.Name(), `outcome=panic`,
			`msg="mp: task begins" task=3 func=` + last.Name() + ` attempt=1`, `msg="mp: worker ended"`, `why="ended with signal 9 (killed)"`,
			`msg="mp: worker has left a task that will be retried" name=worker-`, `task=3 func=` + last.Name() + ` worker=1`,
			`msg="mp: worker started" name=worker-`, `msg="mp: task begins" task=3 func=` + last.Name() + ` attempt=2`, `msg="mp: worker has lost a task"`,
			`msg="mp: tasks submitted" task=4 count=2`, `msg="mp: tasks cancelled" task=4 count=2`, `why="context canceled"`,
			`msg="mp: worker ended"`, `why="the pool ends"`,
		},
		"trace,inline": {
			`msg="mp: task begins" task=1 func=` + whereAmI.Name() + ` attempt=1 worker=1 pid=`, `msg="mp: task ended" task=1 took=`, `outcome=result`,
			`msg="mp: task begins" task=2 func=` + failHow.Name(), `outcome=panic`,
		},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Setenv("MPDEBUG", mode)
			var log traced
			pool := newPool(t, mp.PoolConfig{Workers: 1, Output: mp.Output{Logger: slog.New(slog.NewTextHandler(&log, nil))}})
			_, err := mp.Call(t.Context(), pool, whereAmI, struct{}{})
			_, _ = mp.Call(t.Context(), pool, failHow, "panic")
			if err != nil {
				t.Fatal(err)
			}
			if mode == "trace" {
				_, err = mp.Call(t.Context(), pool, last, lasting{Die: true}, mp.Retries(1))
				if err == nil {
					t.Error("it did not die")
				}
				if err := pool.Ready(t.Context()); err != nil {
					t.Error(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				f := mp.MapAsync(ctx, pool, waitForEnd, make([]struct{}, 2))
				until(t, "it runs", func() bool { return pool.Stats().PerWorker[0].Task != 0 })
				cancel()
				if _, err := f.Result(t.Context()); !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			}

			_ = pool.Close()
			rest := log.String()
			for _, line := range want {
				_, after, found := strings.Cut(rest, line)
				if !found {
					t.Fatalf("no %s in\n%s\nof\n%s", line, rest, log.String())
				}
				rest = after
			}
		})
	}
}

// If the start of a worker is logged, its end is logged too.
func TestTraceOfAll(t *testing.T) {
	mptest.NoLeaks(t)
	t.Setenv("MPDEBUG", "trace")
	var log traced
	pool := newPool(t, mp.PoolConfig{Workers: 2, Spares: 2, Output: mp.Output{Logger: slog.New(slog.NewTextHandler(&log, nil))}})
	until(t, "there are spares", func() bool { s := pool.Stats(); return s.Spares == 2 && s.Serving == 2 })
	if _, err := mp.Call(t.Context(), pool, last, lasting{Die: true}); err == nil {
		t.Error("it did not die")
	}

	until(t, "one has taken its place", func() bool { return strings.Contains(log.String(), "was a spare") })
	_ = pool.Close()
	started, ended := map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(log.String()) {
		_, name, _ := strings.Cut(line, " name=")
		name, _, _ = strings.Cut(name, " ")
		switch {
		case strings.Contains(line, `"mp: worker started"`):
			started[name] = true
		case strings.Contains(line, `"mp: worker ended"`), strings.Contains(line, `"mp: worker could not serve"`):
			ended[name] = true
		}
	}

	if len(started) < 4 || !maps.Equal(started, ended) {
		t.Errorf("started: %v, ended: %v\n%s", started, ended, log.String())
	}
}

// Lists of processes show which worker a process is.
func TestTitles(t *testing.T) {
	mptest.NoLeaks(t)
	pool := newPool(t, mp.PoolConfig{Workers: 2})
	if err := pool.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	byPID := map[int]string{}
	for _, c := range mp.Children() {
		byPID[c.PID] = c.Name
	}
	for _, w := range pool.Workers() {
		line, err := os.ReadFile("/proc/" + strconv.Itoa(w.PID) + "/cmdline")
		if err != nil || !strings.HasPrefix(string(line), os.Args[0]+": "+byPID[w.PID]+"\x00") {
			t.Errorf("%q of %s, %v", line, byPID[w.PID], err)
		}
	}
}
