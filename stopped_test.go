//go:build linux

package mp_test

import (
	"errors"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp"
)

// A worker that is stopped at any moment delays a Map by at most the timeout of its current task,
// and costs at most that task.
func TestStoppedWorkers(t *testing.T) {
	in := make([]int, 1000)
	for i := range in {
		in[i] = i
	}
	rounds := 8
	if testing.Short() {
		rounds = 4
	}

	for _, workers := range []int{1, 2, 3} {
		pool := newPool(t, mp.PoolConfig{Workers: workers, Timeout: 200 * time.Millisecond, Grace: 50 * time.Millisecond})
		if err := pool.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		for round := range rounds {
			all := pool.Workers()
			victim, err := unix.PidfdOpen(all[rand.IntN(len(all))].PID, 0) // another process may soon have its number
			if err != nil {
				t.Fatal(err)
			}
			at := time.Duration(rand.IntN(2000)) * time.Microsecond // 0 stops an idle worker
			if round%2 == 0 {
				at = 0
				if err := unix.PidfdSendSignal(victim, syscall.SIGSTOP, nil, 0); err != nil {
					t.Fatal(err)
				}
			}
			f := mp.MapAsync(t.Context(), pool, square, in, mp.AllErrors())
			stopped := make(chan struct{})
			time.AfterFunc(at, func() {
				defer close(stopped)
				if at > 0 {
					_ = unix.PidfdSendSignal(victim, syscall.SIGSTOP, nil, 0) // the worker may have ended
				}
			})
			select {
			case <-f.Done():
			case <-time.After(never):
				t.Fatalf("%d workers, round %d, stopped after %v: the Map does not end\n%s", workers, round, at, pool.Stats())
			}

			got, err := f.Result(t.Context())
			var bad mp.ElementErrors
			if err != nil && (!errors.As(err, &bad) || len(bad) > 1 || !errors.As(bad[0], new(*mp.WorkerError))) {
				t.Errorf("%d workers: %v", workers, err)
			}
			failed := map[int]bool{}
			for _, e := range bad {
				failed[e.Index] = true
			}
			for i, n := range got {
				if n != i*i && !failed[i] {
					t.Fatalf("element %d: %d", i, n)
				}
			}
			<-stopped
			_ = unix.PidfdSendSignal(victim, syscall.SIGCONT, nil, 0)
			_ = unix.Close(victim)
			until(t, "all workers are back", func() bool { return len(pool.Workers()) == workers && pool.Ready(t.Context()) == nil })
		}
		_ = pool.Close()
	}
}
