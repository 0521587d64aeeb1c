//go:build linux

package mp_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
)

// B7: idle workers end after a while, and new ones are started on demand.
func TestIdleWorkersEnd(t *testing.T) {
	torn := filepath.Join(t.TempDir(), "torn")
	pool := newPool(t, mp.PoolConfig{Workers: 2, Recycle: mp.Recycle{Idle: 20 * time.Millisecond}, Teardown: setup.With(setupArg{File: torn})})
	for round := range 3 {
		until(t, "all workers end", func() bool { return lines(t, torn) == pool.Stats().Started && pool.Stats().Serving == 0 })
		if err := pool.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		var err error
		if round%2 == 0 {
			_, err = mp.Call(t.Context(), pool, square, 2)
		} else {
			_, err = mp.Map(t.Context(), pool, square, make([]int, 1000))
		}
		if err != nil {
			t.Fatal(err)
		}
	}

	if s := pool.Stats(); s.Died != 0 {
		t.Errorf("%+v", s)
	}
}

// A sequence of calls, each made after the previous one has returned, needs one worker.
func TestCallsInSuccessionNeedOneWorker(t *testing.T) {
	rounds := 30
	if testing.Short() {
		rounds = 10
	}

	for range rounds {
		pool := newPool(t, mp.PoolConfig{Workers: 4, Recycle: mp.Recycle{Idle: 10 * time.Millisecond}})
		until(t, "no worker is left", func() bool { s := pool.Stats(); return s.Started == 4 && s.Serving == 0 })
		before := pool.Stats()
		for range 100 {
			if _, err := mp.Call(t.Context(), pool, square, 2); err != nil {
				t.Fatal(err)
			}
		}
		// A worker may have been idle for long enough to end meanwhile.
		if s := pool.Stats(); s.Started-before.Started > 1+s.Recycled-before.Recycled {
			t.Errorf("%d workers were started, and %d have ended", s.Started-before.Started, s.Recycled-before.Recycled)
		}
		_ = pool.Close()
	}
}

// A worker that runs a task is not idle.
func TestBusyWorkersStay(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1, Recycle: mp.Recycle{Idle: time.Millisecond}})
	for range 20 {
		if _, err := mp.Call(t.Context(), pool, spin, 3_000_000); err != nil {
			t.Fatal(err)
		}
	}
}

// farewell notes its process in a file, then waits until the test reads the named pipe.
var farewell = mp.Register("farewell", func(_ context.Context, f farewellArg) (int, error) {
	if err := (setupArg{File: f.Note}).do(); err != nil {
		return 0, err
	}
	w, err := os.OpenFile(f.FIFO, os.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	return 0, w.Close()
})

type farewellArg struct{ Note, FIFO string }

// While an idle worker runs its Teardown, new tasks wait behind the task of the other worker. The
// idle worker's slot is filled again for them.
func TestIdlePlaceIsFilledForWhatWaitsBehindOthers(t *testing.T) {
	said := filepath.Join(t.TempDir(), "said")
	leave, leaves := newFIFO(t)
	pool := newPool(t, mp.PoolConfig{Workers: 2, Recycle: mp.Recycle{Idle: 20 * time.Millisecond}, Teardown: farewell.With(farewellArg{said, leaves})})
	if err := pool.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	begun, name := newFIFO(t)
	first := mp.Submit(ctx, pool, wait, waiting{FIFO: name, Heed: true})
	defer begun()()
	until(t, "the other one tears down", func() bool { return lines(t, said) > 0 })
	behind := mp.Submit(t.Context(), pool, square, 3)
	until(t, "it waits behind the first", func() bool { return pool.Stats().Queued == 0 })
	defer leave()()
	limit, stop := context.WithTimeout(t.Context(), never)
	defer stop()
	if n, err := behind.Result(limit); n != 9 || err != nil {
		t.Error(n, err, pool.Stats())
	}
	cancel()
	<-first.Done()
}

// If the pool cannot fill an empty slot again for a task, it fills another. If it cannot fill any
// slot, the task's error says why.
func TestVacantPlacesThatCannotBeFilled(t *testing.T) {
	dir := t.TempDir()
	files := setupFiles{Calls: dir + "/calls", Must: dir + "/must"}
	if err := os.WriteFile(files.Must, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	pool := newPool(t, mp.PoolConfig{
		Workers: 3, Setup: setupIf.With(files), Recycle: mp.Recycle{Idle: time.Millisecond},
		// No start is retried during the test.
		Restart: mp.Restart{Attempts: 1, Backoff: time.Hour, MaxBackoff: time.Hour}, Output: mp.Output{Logger: slog.New(slog.DiscardHandler)},
	})
	if err := pool.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}

	until(t, "all workers have left", func() bool { s := pool.Stats(); return s.Serving == 0 && s.Started >= 3 })
	if err := pool.Ready(t.Context()); err != nil { // then the pool knows that the slots are empty
		t.Fatal(err)
	}

	if err := os.Remove(files.Must); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), never)
	defer cancel()
	var s *mp.StartError
	if _, err := mp.Call(ctx, pool, square, 1); !errors.As(err, &s) {
		t.Errorf("got %v", err)
	}
	if n := lines(t, files.Calls); n != 6 {
		t.Errorf("%d setups, not one for each place at first and one later", n)
	}
}
