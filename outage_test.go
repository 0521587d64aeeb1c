//go:build linux

package mp_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
)

// earlyDeath ends workers before Init as long as the file named in their environment exists.
var _ = func() error {
	if file := os.Getenv("MP_TEST_DIE_EARLY"); file != "" && mp.IsWorker() {
		if _, err := os.Stat(file); err == nil {
			os.Exit(2)
		}
	}
	return nil
}()

// A shortage makes starts of workers fail.
type shortage struct {
	config     mp.PoolConfig
	begin, end func() error
}

// shortages has one shortage of each kind: in Setup, before Init, and in the parent.
func shortages(t *testing.T) map[string]shortage {
	dir := t.TempDir()
	files := setupFiles{Calls: filepath.Join(dir, "calls"), Must: filepath.Join(dir, "must")}
	early := filepath.Join(dir, "early")
	create := func(file string) func() error { return func() error { return os.WriteFile(file, nil, 0o600) } }
	remove := func(file string) func() error { return func() error { return os.Remove(file) } }
	if err := create(files.Must)(); err != nil {
		t.Fatal(err)
	}

	program := filepath.Join(dir, "program")
	self, err := os.Executable()
	if err == nil {
		err = os.Link(self, program)
	}
	if err != nil {
		if err = copyFile(program, self); err != nil {
			t.Fatal(err)
		}
	}

	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}

	limitTo := func(n uint64) func() error {
		return func() error {
			return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: n, Max: limit.Max})
		}
	}
	t.Cleanup(func() { _ = limitTo(limit.Cur)() })
	return map[string]shortage{
		"in Setup":               {mp.PoolConfig{Setup: setupIf.With(files)}, remove(files.Must), create(files.Must)},
		"before Init":            {mp.PoolConfig{Env: []string{"MP_TEST_DIE_EARLY=" + early}}, create(early), remove(early)},
		"of descriptors":         {mp.PoolConfig{}, limitTo(1), limitTo(limit.Cur)},
		"of the worker's binary": {mp.PoolConfig{Executable: program}, func() error { return os.Rename(program, program+".old") }, func() error { return os.Rename(program+".old", program) }},
	}
}

func copyFile(to, from string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o700)
}

// begun starts a pool, waits until it has served, begins a shortage, and ends all workers.
func (s shortage) begun(t *testing.T, workers int, r mp.Restart) *mp.Pool {
	t.Helper()
	s.config.Workers, s.config.Restart, s.config.Output = workers, r, mp.Output{Logger: slog.New(slog.DiscardHandler)}
	pool := newPool(t, s.config)
	if err := pool.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := mp.Call(t.Context(), pool, square, 2); err != nil {
		t.Fatal(err)
	}

	all := pool.Workers()
	if err := s.begin(); err != nil {
		t.Fatal(err)
	}

	for _, w := range all {
		if err := syscall.Kill(w.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	return pool
}

// cannotStart waits until Stats reports n failing slots with at least the given number of attempts
// each.
func cannotStart(t *testing.T, pool *mp.Pool, n, attempts int) []mp.StartFailure {
	t.Helper()
	var all []mp.StartFailure
	until(t, "the workers cannot be started", func() bool {
		all = pool.Stats().Failing
		enough := len(all) == n
		for _, f := range all {
			enough = enough && f.Attempts >= attempts
		}
		return enough
	})
	return all
}

var quick = mp.Restart{Attempts: 3, Backoff: time.Millisecond, MaxBackoff: 5 * time.Millisecond}

// A pool that has served retries forever. After some attempts, tasks fail at once with the reason,
// and Stats reports it, until workers serve again.
func TestOutage(t *testing.T) {
	for name, s := range shortages(t) {
		t.Run(name, func(t *testing.T) {
			before := time.Now()
			pool := s.begun(t, 2, quick)
			all := cannotStart(t, pool, 2, quick.Attempts)
			for i, f := range all {
				if f.Worker != i+1 || f.Why == "" || f.Since.Before(before) || f.Since.After(time.Now()) {
					t.Errorf("%+v", f)
				}
			}

			if table := pool.Stats().String(); !strings.Contains(table, "cannot start") || !strings.Contains(table, "worker 2 ") {
				t.Error(table)
			}
			for range 3 {
				var s *mp.StartError
				if _, err := mp.Call(t.Context(), pool, square, 3); !errors.As(err, &s) {
					t.Errorf("Call: %v", err)
				}
			}

			var start *mp.StartError
			if err := pool.Ready(t.Context()); !errors.As(err, &start) {
				t.Errorf("Ready: %v", err)
			}
			cannotStart(t, pool, 2, all[0].Attempts+5) // the pool keeps trying

			if err := s.end(); err != nil {
				t.Fatal(err)
			}
			until(t, "all workers serve again", func() bool { return pool.Ready(t.Context()) == nil })
			if n, err := mp.Call(t.Context(), pool, square, 3); n != 9 || err != nil {
				t.Error(n, err)
			}
			if s := pool.Stats(); s.Serving != 2 || len(s.Failing) != 0 {
				t.Error(s)
			}
		})
	}
}

// Tasks wait for workers that have failed to start fewer than Attempts times.
func TestTasksWaitInAnOutage(t *testing.T) {
	for name, s := range shortages(t) {
		t.Run(name, func(t *testing.T) {
			pool := s.begun(t, 1, mp.Restart{Attempts: 1 << 30, Backoff: time.Millisecond, MaxBackoff: time.Millisecond})
			f := mp.Submit(t.Context(), pool, square, 5)
			cannotStart(t, pool, 1, 10)
			if f.State() != mp.Pending {
				t.Error(f.State())
			}

			if err := s.end(); err != nil {
				t.Fatal(err)
			}
			if n, err := f.Result(t.Context()); n != 25 || err != nil {
				t.Error(n, err)
			}
		})
	}
}

// Resize does not wait for the next attempt.
func TestResizeInAnOutage(t *testing.T) {
	s := shortages(t)["in Setup"]
	pool := s.begun(t, 1, mp.Restart{Attempts: 1, Backoff: time.Hour, MaxBackoff: time.Hour})
	cannotStart(t, pool, 1, 1)
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	if err := pool.Resize(1); err != nil {
		t.Fatal(err)
	}
	if n, err := mp.Call(t.Context(), pool, square, 3); n != 9 || err != nil {
		t.Error(n, err)
	}
}

// An outage does not delay the end of a pool.
func TestEndInAnOutage(t *testing.T) {
	for name, end := range map[string]func(*mp.Pool) error{
		"Close":    (*mp.Pool).Close,
		"Shutdown": func(p *mp.Pool) error { return p.Shutdown(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			pool := shortages(t)["in Setup"].begun(t, 2, mp.Restart{Attempts: 1, Backoff: time.Hour, MaxBackoff: time.Hour})
			cannotStart(t, pool, 2, 1)
			done := make(chan error, 1)
			go func() { done <- end(pool) }()
			select {
			case err := <-done:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(never):
				t.Fatal("it does not return")
			}
		})
	}
}

// A worker keeps serving while others cannot be started. Their slots are filled again when that is
// possible.
func TestPartialOutage(t *testing.T) {
	s := shortages(t)["in Setup"]
	s.config.Workers, s.config.Spares, s.config.Restart, s.config.Output = 2, 1, quick, mp.Output{Logger: slog.New(slog.DiscardHandler)}
	pool := newPool(t, s.config)
	if err := pool.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}

	until(t, "the spare is ready", func() bool { return pool.Stats().Spares == 1 })
	if err := s.begin(); err != nil {
		t.Fatal(err)
	}
	second := pool.Workers()[1]
	for pid := second.PID; ; pid = pool.Workers()[1].PID { // and the spare that replaces it
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		until(t, "it is gone", func() bool { w := pool.Workers(); return len(w) < 2 || w[1].PID != pid })
		if pool.Stats().Spares == 0 && len(pool.Workers()) == 1 {
			break
		}
		until(t, "the spare takes its place", func() bool { return len(pool.Workers()) == 2 })
	}

	all := cannotStart(t, pool, 2, quick.Attempts)
	if all[0].Worker != 0 || all[1].Worker != 2 || !strings.Contains(pool.Stats().String(), "a spare") {
		t.Errorf("%+v", all)
	}
	for i := range 20 {
		if n, err := mp.Call(t.Context(), pool, square, i); n != i*i || err != nil {
			t.Fatal(n, err)
		}
	}

	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	until(t, "all are back", func() bool { s := pool.Stats(); return s.Serving == 2 && s.Spares == 1 && len(s.Failing) == 0 })
}
