//go:build linux

package mp_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/mptest"
)

var (
	chaosSeed = flag.Uint64("chaos.seed", 0, "seed of TestChaos; 0: a new one")
	chaosFor  = flag.Duration("chaos.for", 0, "how long TestChaos goes on; 0: two rounds")
	chaosUser = flag.Bool("chaos.user", false, "TestChaos gives up root in the middle")
)

// Many goroutines use one pool in all ways at once, with good and bad tasks. Meanwhile its workers
// are killed, stopped and recycled, and the pool is resized. The outcome of each task must match
// the task's deed or the harm that may have been done to it. No task runs twice, and each task with
// a result has run once. At the end the pool is at full strength, or was closed while it was in
// use, and nothing is left behind.
func TestChaos(t *testing.T) {
	seed := *chaosSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-chaos.seed=%d", seed)
	began := time.Now()
	rounds := uint64(2)
	if *chaosUser || testing.Short() {
		rounds = 1 // after giving up root there is no way back
	}

	for round := uint64(0); round < rounds || !*chaosUser && time.Since(began) < *chaosFor; round++ {
		r := rand.New(rand.NewPCG(seed, round))
		if !t.Run("", func(t *testing.T) { newChaos(t, r).run(r.IntN(2) == 0) }) {
			t.Fatalf("round %d", round)
		}
	}
}

// TestChaos passes while the program gives up root, after which it may not signal earlier workers.
// The test runs in another process, because giving up root cannot be undone.
func TestChaosOfUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	if testing.Short() {
		t.Skip("it is one more round")
	}

	dir, err := os.MkdirTemp("", "mp-test-") // other users cannot enter the parent of t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}

	began := time.Now()
	for once := true; once || time.Since(began) < *chaosFor; once = false {
		seed := cmp.Or(*chaosSeed, rand.Uint64())
		c := exec.Command(os.Args[0], "-test.run=^TestChaos$", "-test.v", "-chaos.user", fmt.Sprint("-chaos.seed=", seed))
		c.Env = append(os.Environ(), "TMPDIR="+dir)
		if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "root given up") {
			t.Fatalf("%v\n%s", err, out)
		}
	}
}

type chaos struct {
	t     *testing.T
	pool  *mp.Pool
	notes string
	size  atomic.Int64  // of the pool
	next  atomic.Uint64 // number of the last task
	calls atomic.Uint64 // calls that have returned
	seed  func() *rand.Rand

	closed  atomic.Bool
	starved atomic.Bool // workers could not be started for a while
	mu      sync.Mutex
	ended   map[uint64]bool // tasks that have a result
	broken  map[int]error   // errors with ReasonCorrupt, by process
	stuck   int             // how many more tasks may hang in the kernel
	hangs   string          // a file whose readers hang in the kernel
	starve  bool            // starts of workers fail now and then

	root sync.RWMutex // read-locked while a worker is stopped: only the user that stopped it can continue it
}

const (
	chaosCallers = 8
	chaosStuck   = 3 // each costs five seconds
)

// chaosCalls returns how many calls each caller makes: few if TestChaos is one test of many.
func chaosCalls() int {
	if *chaosFor == 0 {
		return 15
	}
	return 40
}

// newChaos starts a pool with a random config.
func newChaos(t *testing.T, r *rand.Rand) *chaos {
	mptest.NoLeaks(t)
	dir := os.TempDir()
	if !*chaosUser { // a process that has given up root could not remove this directory
		dir = t.TempDir()
	}
	x := &chaos{t: t, notes: filepath.Join(dir, "notes"), ended: map[uint64]bool{}, broken: map[int]error{}}
	for _, file := range []string{x.notes, scribblers(x.notes)} {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, 0o666); err != nil { // workers may run as another user
			t.Fatal(err)
		}
	}

	if r.IntN(4) == 0 && os.Getuid() == 0 && !*chaosUser {
		var err error
		if x.hangs, _, _, err = tryHang(t); err == nil {
			x.stuck = chaosStuck
		}
	}
	var mu sync.Mutex
	x.seed = func() *rand.Rand {
		mu.Lock()
		defer mu.Unlock()
		return rand.New(rand.NewPCG(r.Uint64(), r.Uint64()))
	}

	config := mp.PoolConfig{
		Workers: 1 + r.IntN(4), Procs: 1, Backlog: 1 + r.IntN(30), Spares: r.IntN(3), Grace: 20 * time.Millisecond,
		Output: mp.Output{Stdout: io.Discard, Stderr: io.Discard, Logger: slog.New(slog.DiscardHandler)},
	}
	switch r.IntN(4) {
	case 0:
		config.Recycle.Tasks = 1 + r.IntN(30)
	case 1:
		config.Recycle.Idle = time.Duration(1+r.IntN(3000)) * time.Microsecond
	case 2:
		config.Recycle.Memory = 8<<20 + int64(r.IntN(8<<20))
	}
	if r.IntN(4) == 0 {
		config.RequireContainment = mp.ContainSubreaper
		config.Recycle.Tasks *= 5 // a start takes longer
	}

	if x.starve = r.IntN(4) == 0; x.starve {
		config.Limits.OpenFiles = 256 // or workers would inherit the limit that starveStarts sets
		config.Restart.Attempts = 1 + r.IntN(3)
	}
	pool, err := mp.NewPool(config)
	if err != nil {
		t.Fatal(err)
	}
	x.pool = pool
	if err := pool.Ready(t.Context()); err != nil { // a pool that has served never gives up
		t.Fatal(err)
	}
	x.size.Store(int64(config.Workers))
	t.Logf("stuck: %t, starved: %t, %d workers, %d spares, backlog %d, %+v, %s", x.hangs != "", x.starve, config.Workers, config.Spares, config.Backlog, config.Recycle, config.RequireContainment)
	return x
}

func (x *chaos) run(abrupt bool) {
	over := make(chan struct{})
	var harm, callers sync.WaitGroup
	for range 2 {
		harm.Go(func() { x.harm(over) })
	}
	if *chaosUser {
		harm.Go(x.giveUpRoot)
	}
	if x.starve {
		harm.Go(func() { x.starveStarts(over) })
	}

	for range chaosCallers {
		callers.Go(x.use)
	}
	if abrupt {
		for n := x.seed().Uint64N(chaosCallers * uint64(chaosCalls())); x.calls.Load() < n; {
			time.Sleep(100 * time.Microsecond)
		}
		x.end()
	}

	x.await(&callers)
	close(over)
	harm.Wait()
	if !abrupt {
		x.recovers()
		x.end()
	}

	_ = x.pool.Close()
	x.check()
}

// await waits for the callers. It panics if no call returns for a while.
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
			panic("in vain: a call returns") // with the stacks of all goroutines
		}
		before = now
	}
}

// recovers checks that the pool reaches full strength and works.
func (x *chaos) recovers() {
	ctx, cancel := context.WithTimeout(x.t.Context(), never)
	defer cancel()
	err := x.pool.Ready(ctx)
	for c := (circumstances{starved: x.starved.Load()}); err != nil && c.explain(err) && ctx.Err() == nil; err = x.pool.Ready(ctx) {
		time.Sleep(time.Millisecond) // the next attempt to start a worker is due soon
	}
	if err != nil {
		x.t.Errorf("full strength: %v", err)
	}

	squares, err := mp.Map(ctx, x.pool, square, []int{1, 2, 3})
	if err != nil || len(squares) != 3 || squares[2] != 9 {
		x.t.Errorf("in the end: %v, %v", squares, err)
	}
	if s := x.pool.Stats(); s.Workers != int(x.size.Load()) || s.Queued != 0 {
		x.t.Errorf("in the end: %+v, not %d workers", s, x.size.Load())
	}
}

// end closes the pool, in one of several ways.
func (x *chaos) end() {
	x.closed.Store(true)
	r := x.seed()
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r.IntN(50))*time.Millisecond)
	defer cancel()
	if r.IntN(2) == 0 {
		_ = x.pool.Shutdown(ctx)
	} else {
		_ = x.pool.Close()
	}
}

// harm kills and stops workers and resizes the pool, at most once for each call that returns, so
// that calls make progress on a slow machine. It continues or kills each worker that it has
// stopped.
func (x *chaos) harm(over chan struct{}) {
	r := x.seed()
	for before := uint64(1); ; {
		select {
		case <-over:
			return
		case <-time.After(time.Duration(r.IntN(3000)) * time.Microsecond):
		}

		if x.calls.Load() == before {
			continue
		}
		before = x.calls.Load()
		if r.IntN(4) == 0 {
			x.resize(1 + r.IntN(5))
			continue
		}

		fd, ok := x.victim(r)
		if !ok {
			continue
		}
		x.hurt(r, fd)
		_ = unix.Close(fd)
	}
}

// hurt kills a worker, or stops it for a moment and then kills or continues it.
func (x *chaos) hurt(r *rand.Rand, pidfd int) {
	x.root.RLock()
	defer x.root.RUnlock()
	sig := unix.SIGKILL
	if r.IntN(3) > 0 {
		stopped := unix.PidfdSendSignal(pidfd, unix.SIGSTOP, nil, 0) == nil
		time.Sleep(time.Duration(r.IntN(5000)) * time.Microsecond)
		if r.IntN(2) == 0 {
			sig = unix.SIGCONT
		}
		if err := unix.PidfdSendSignal(pidfd, sig, nil, 0); stopped && err != nil && !errors.Is(err, unix.ESRCH) {
			x.t.Errorf("a worker stays stopped: %v", err)
		}
		return
	}
	_ = unix.PidfdSendSignal(pidfd, sig, nil, 0)
}

// starveStarts repeatedly leaves this process without descriptors for new workers.
func (x *chaos) starveStarts(over chan struct{}) {
	var had unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &had); err != nil {
		x.t.Error(err)
		return
	}

	r := x.seed()
	for {
		select {
		case <-over:
			return
		case <-time.After(time.Duration(r.IntN(20)) * time.Millisecond):
		}
		x.starved.Store(true)
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1, Max: had.Max}); err != nil {
			x.t.Error(err)
		}
		time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond)
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &had); err != nil {
			x.t.Error(err)
		}
	}
}

// giveUpRoot changes the user of this process.
func (x *chaos) giveUpRoot() {
	const nobody = 65534
	for n := x.seed().Uint64N(chaosCallers * uint64(chaosCalls()) / 2); x.calls.Load() < n && !x.closed.Load(); {
		time.Sleep(100 * time.Microsecond)
	}
	x.root.Lock()
	err := syscall.Setuid(nobody)
	x.root.Unlock()
	if err != nil {
		x.t.Error(err)
		return
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil { // or this process could not read its own /proc/self/fd
		x.t.Error(err)
	}
	x.t.Log("root given up")
}

func (x *chaos) resize(n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.pool.Resize(n); err == nil {
		x.size.Store(int64(n))
	} else if !errors.Is(err, mp.ErrClosed) || !x.closed.Load() {
		x.t.Errorf("Resize: %v", err)
	}
}

// victim opens a random worker's process, and makes sure that the number still belongs to the
// worker.
func (x *chaos) victim(r *rand.Rand) (pidfd int, ok bool) {
	ws := x.pool.Workers()
	if len(ws) == 0 {
		return -1, false
	}
	w := ws[r.IntN(len(ws))]
	fd, err := unix.PidfdOpen(w.PID, unix.PIDFD_NONBLOCK)
	if err != nil {
		return -1, false
	}

	for _, now := range x.pool.Workers() {
		if now.PID == w.PID && now.Started.Equal(w.Started) {
			return fd, true
		}
	}
	_ = unix.Close(fd)
	return -1, false
}

// use makes calls of all kinds.
func (x *chaos) use() {
	r := x.seed()
	ways := []func(context.Context, []chaosTask, circumstances, []mp.MapOption){x.call, x.submit, x.mapAll, x.mapFirst, x.stream, x.unordered}
	for range chaosCalls() {
		ctx, cancel := context.WithCancel(x.t.Context())
		in, c, opts := x.tasks(r)
		if c.cancelled {
			time.AfterFunc(time.Duration(r.IntN(8000))*time.Microsecond, cancel)
		}
		ways[r.IntN(len(ways))](ctx, in, c, opts)
		cancel()
		x.calls.Add(1)
	}
}

// tasks returns random tasks, circumstances and options. If a task may hang, the circumstances end
// it.
func (x *chaos) tasks(r *rand.Rand) (in []chaosTask, c circumstances, opts []mp.MapOption) {
	hang := false
	for range 1 + r.IntN(1+r.IntN(60)) {
		t := newChaosTask(r, x.next.Add(1), x.notes)
		if hang && t.Deed.mayHang() {
			t.Deed = answer // each task that hangs takes long
		}
		if !hang && r.IntN(20) == 0 && x.mayBeStuck() {
			t.Deed, t.Hangs = wedged, x.hangs
		}
		hang = hang || t.Deed.mayHang()
		in = append(in, t)
	}

	c.timed = r.IntN(3) == 0
	c.cancelled = hang && !c.timed || r.IntN(6) == 0
	if c.timed {
		opts = append(opts, mp.Timeout(chaosTimeout))
	}
	if r.IntN(3) == 0 {
		opts = append(opts, mp.ChunkSize(1+r.IntN(20)))
	}

	return in, c, opts
}

// mayBeStuck reports whether one more task may hang in the kernel.
func (x *chaos) mayBeStuck() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.stuck == 0 {
		return false
	}
	x.stuck--
	return true
}

// settle checks the outcome of a task.
func (x *chaos) settle(t chaosTask, out []byte, err error, c circumstances) {
	c.closed, c.starved = x.closed.Load(), x.starved.Load()
	var w *mp.WorkerError
	if errors.As(err, &w) && w.Reason == mp.ReasonCorrupt {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.broken[w.PID] = err
		return
	}

	if wrong := t.judge(out, err, c); wrong != "" {
		x.t.Errorf("task %+v, %+v: %s", t, c, wrong)
	}
	if err == nil {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.ended[t.N] = true
	}
}

// check compares the outcomes with the notes that the tasks have left.
func (x *chaos) check() {
	times := map[uint64]int{}
	for _, n := range notedIn(x.t, x.notes) {
		times[n]++
	}
	guilty := notedIn(x.t, scribblers(x.notes))
	for pid, err := range x.broken {
		if !slices.Contains(guilty, uint64(pid)) {
			x.t.Errorf("process %d wrote nowhere: %v", pid, err)
		}
	}

	for n := range times {
		if times[n] > 1 {
			x.t.Errorf("task %d was run %d times", n, times[n])
		}
	}

	for n := range x.ended {
		if times[n] != 1 {
			x.t.Errorf("task %d has a result and was run %d times", n, times[n])
		}
	}
	x.t.Logf("%d tasks, %d run, %d results, %d workers wrote over memory, %d were corrupt: %+v",
		x.next.Load(), len(times), len(x.ended), len(guilty), len(x.broken), x.pool.Stats())
}
