//go:build linux

package pool_test

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/pool"
)

var chaosSeed = flag.Uint64("chaos.seed", 0, "seed of TestChaos; 0: a new one")

// TestChaos mixes calls, cancellations, kills, stops and the end of the pool at random. Every
// Execute must return. Each task must be settled once and run at most once, and must have run if it
// returned a result. Before the pool ends, it must have all its workers.
func TestChaos(t *testing.T) {
	for _, c := range []struct {
		name   string
		large  int  // in one of this many batches, one argument is larger than any buffer
		abrupt bool // the pool ends while there are callers
	}{
		{"small", 0, false},
		{"small, ended", 0, true},
		{"large", 8, false},
		{"large, ended", 8, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			seed := *chaosSeed
			if seed == 0 {
				seed = rand.Uint64()
			}

			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("-chaos.seed=%d", seed)
				}
			})
			rounds := 3
			if testing.Short() {
				rounds = 1
			}

			for i := range rounds {
				r := rand.New(rand.NewPCG(seed, uint64(i)))
				if !t.Run("", func(t *testing.T) { newChaos(t, r, c.large).run(c.abrupt) }) {
					return
				}
			}
		})
	}
}

type chaos struct {
	t     *testing.T
	c     *pool.Pool
	cfg   pool.Config
	large int
	seed  func() *rand.Rand
	next  atomic.Uint64 // the number of the next task
	calls atomic.Uint64 // calls that have returned

	mu      sync.Mutex
	batches []*batch
}

const (
	chaosWorkers = 3
	chaosCallers = 4
	chaosCalls   = 100
)

func newChaos(t *testing.T, r *rand.Rand, large int) *chaos {
	cfg := config(t, "honest", chaosWorkers)
	cfg.Backlog = 1 + r.IntN(5) // so that callers block
	var mu sync.Mutex
	seed := func() *rand.Rand {
		mu.Lock()
		defer mu.Unlock()
		return rand.New(rand.NewPCG(r.Uint64(), r.Uint64()))
	}
	return &chaos{t: t, c: start(t, cfg), cfg: cfg, large: large, seed: seed}
}

func (x *chaos) run(abrupt bool) {
	over := make(chan struct{})
	var harm, callers sync.WaitGroup
	for range 2 {
		harm.Go(func() { x.harm(over) })
	}
	for range chaosCallers {
		callers.Go(func() { x.call() })
	}
	if abrupt {
		for n := x.seed().Uint64N(8 * chaosCallers * chaosCalls); x.next.Load() < n; {
			time.Sleep(100 * time.Microsecond) // the callers' progress decides when the pool ends
		}
		x.end()
	}

	x.await(&callers)
	close(over)
	harm.Wait()
	if !abrupt {
		until(x.t, "full strength", func() bool { return len(x.c.Workers()) == chaosWorkers })
		works(x.t, x.c)
		x.end()
	}
	x.check()
}

// await waits for the callers as long as they make progress.
func (x *chaos) await(callers *sync.WaitGroup) {
	done := make(chan struct{})
	go func() { defer close(done); callers.Wait() }()
	for before := uint64(0); ; {
		select {
		case <-done:
			return
		case <-time.After(never):
		}
		now := x.calls.Load()
		if now == before {
			panic("in vain: a call returns") // prints the stacks of all goroutines
		}
		before = now
	}
}

// end closes the pool in one of several ways.
func (x *chaos) end() {
	r := x.seed()
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r.IntN(20))*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for range 1 + r.IntN(3) {
		if r.IntN(2) == 0 {
			wg.Go(func() { _ = x.c.Close() })
		} else {
			wg.Go(func() { _ = x.c.Shutdown(ctx) })
		}
	}
	within(x.t, "the pool ends", wg.Wait)
}

// harm kills and stops workers. It later continues or kills each worker that it has stopped,
// because only the end of its context would end a task on a worker that stays stopped.
func (x *chaos) harm(over chan struct{}) {
	r := x.seed()
	for before := uint64(1); ; {
		select {
		case <-over:
			return
		case <-time.After(time.Duration(r.IntN(3000)) * time.Microsecond):
		}
		if x.calls.Load() == before {
			continue // on a slow machine, workers would otherwise die before they do anything
		}

		before = x.calls.Load()
		fd, ok := x.victim(r)
		if !ok {
			continue
		}

		sig := unix.SIGKILL
		if r.IntN(3) > 0 {
			_ = unix.PidfdSendSignal(fd, unix.SIGSTOP, nil, 0)
			time.Sleep(time.Duration(r.IntN(5000)) * time.Microsecond)
			if r.IntN(2) == 0 {
				sig = unix.SIGCONT
			}
		}
		_ = unix.PidfdSendSignal(fd, sig, nil, 0)
		_ = unix.Close(fd)
	}
}

// victim opens a worker's process and checks that the process is still a worker.
func (x *chaos) victim(r *rand.Rand) (pidfd int, ok bool) {
	ws := x.c.Workers()
	if len(ws) == 0 {
		return -1, false
	}
	w := ws[r.IntN(len(ws))]
	fd, err := unix.PidfdOpen(w.PID, unix.PIDFD_NONBLOCK)
	if err != nil {
		return -1, false
	}

	for _, now := range x.c.Workers() {
		if now.PID == w.PID && now.Started.Equal(w.Started) {
			return fd, true
		}
	}
	_ = unix.Close(fd)
	return -1, false
}

func (x *chaos) call() {
	r := x.seed()
	for range chaosCalls {
		ctx, cancel := context.WithCancel(x.t.Context())
		b, endless := x.batch(r)
		if endless || r.IntN(4) == 0 {
			time.AfterFunc(time.Duration(r.IntN(4000))*time.Microsecond, cancel)
		}

		err := x.c.Execute(ctx, "task", b, pool.Hints{Chunk: r.IntN(6), Prompt: r.IntN(2) == 0})
		if err == nil {
			b.wait(x.t, "a batch of chaos")
			x.mu.Lock()
			x.batches = append(x.batches, b)
			x.mu.Unlock()
		} else if !errors.Is(err, errs.ErrClosed) && !errors.Is(err, context.Canceled) {
			x.t.Errorf("Execute: %v", err)
		}
		cancel()
		x.calls.Add(1)
	}
}

// batch creates some tasks. It reports whether one of them does not end by itself.
func (x *chaos) batch(r *rand.Rand) (b *batch, endless bool) {
	n := 1
	if r.IntN(2) == 0 {
		n += r.IntN(40)
	}
	in := make([][]byte, n)
	for i := range in {
		size := 9 + r.IntN(3000)
		if x.large > 0 && r.IntN(x.large*n) == 0 {
			size = 300<<10 + r.IntN(1<<20)
		}
		in[i] = make([]byte, size)
		binary.LittleEndian.PutUint64(in[i], x.next.Add(1))
		in[i][8] = byte(r.IntN(2)) // return or echo
		if r.IntN(30) == 0 {
			in[i][8] = byte(r.IntN(doKinds))
		}
		endless = endless || in[i][8] == doWait || in[i][8] == doIgnore && r.IntN(3) == 0
		if in[i][8] == doIgnore && !endless {
			in[i][8] = doReturn // each task that ignores its context costs a grace period
		}
	}

	return newBatch(in...), endless
}

// check compares the outcomes with the notes that the tasks have written.
func (x *chaos) check() {
	notes, err := os.ReadFile(x.cfg.Dir + "/notes")
	if err != nil {
		x.t.Fatal(err)
	}

	times := map[uint64]int{}
	for ; len(notes) >= 8; notes = notes[8:] {
		times[binary.LittleEndian.Uint64(notes)]++
	}

	results := 0
	for _, b := range x.batches {
		for i, in := range b.in {
			n := binary.LittleEndian.Uint64(in)
			if b.settled[i] != 1 || times[n] > 1 || b.errs[i] == nil && times[n] != 1 {
				x.t.Errorf("task %d settled %d times, run %d times, %v", n, b.settled[i], times[n], b.errs[i])
			}
			if err := b.errs[i]; err == nil {
				results++
				if len(b.out[i]) < 8 || binary.LittleEndian.Uint64(b.out[i]) != n {
					x.t.Errorf("task %d: the result of another", n)
				}
			} else if !known(err) {
				x.t.Errorf("task %d: %v", n, err)
			}
		}
	}
	x.t.Logf("%d tasks, %d results, %d batches", x.next.Load(), results, len(x.batches))
}

func known(err error) bool {
	var d *pool.Death
	var c *pool.Cancelled
	var o outcome
	return errors.As(err, &d) || errors.As(err, &c) || errors.As(err, &o) || errors.Is(err, errs.ErrClosed)
}
