package attacks

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/connection"
	"github.com/go-multiprocessing/mp/internal/race"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/manager"
)

// honestRows returns rows with honest processes that are stopped, debugged or slow. Such processes
// look like attackers, but must survive.
func honestRows() []Row {
	stop := Bounds{Timeout: 8 * time.Second}
	slow := func(mib int) Bounds {
		return Bounds{Timeout: time.Duration(mib)*time.Second/5 + 20*time.Second, Memory: 3*mib + DefaultMemory}
	}
	throttled := []string{fmt.Sprint(throttleVar, "=", 5<<20)}
	rows := []Row{
		{Target: "a worker", Deed: "stopped for much longer than the grace period, with nothing to do", Bounds: stop, inMain: stoppedIdle},
		{Target: "a worker", Deed: "stopped for much longer than the grace period, in a task", Bounds: stop, inMain: stoppedInTask},
		{Target: "a worker", Deed: "stopped while others are waiting in its queue", Bounds: stop, inMain: stoppedWithQueue},
		{Target: "a worker", Deed: "stopped while it holds a lock, and others wait with contexts", Bounds: stop, inMain: stoppedWithLock},
		{Target: "a worker", Deed: "stopped while it talks to a manager", Bounds: stop, inMain: stoppedWithManager},
		{Target: "a worker", Deed: "stopped by a debugger between tasks", Bounds: stop, inMain: debugged},
		{Target: "a worker", Deed: "takes an argument of 128 MiB at 5 MB/s", env: throttled, workers: 1, alone: true, waits: true, Bounds: slow(128), inMain: func(ctx context.Context, w *world) error { return slowTaker(ctx, w, 128<<20) }},
		{Target: "a worker", Deed: "takes arguments of 8 MiB at 5 MB/s, in a Map", env: throttled, workers: 1, alone: true, waits: true, Bounds: slow(32), inMain: func(ctx context.Context, w *world) error { return slowMap(ctx, w, 4, 8<<20) }},
		{Target: "a log handler", Deed: "takes 2 ms for a record", Bounds: stop, inMain: slowHandler},
		{Target: "a peer", Deed: "takes 2 s for the handshake", waits: true, Bounds: stop, inMain: slowHandshake},
		{Target: "a peer", Deed: "takes a message of 8 MiB at 4 MB/s", waits: true, Bounds: stop, inMain: slowPeer},
	}

	for i := range rows {
		rows[i].Family = Honest
	}
	return rows
}

// whoami is a task that returns the ID of its process.
var whoami = mp.Register("whoami", func(context.Context, int) (int, error) { return os.Getpid(), nil })

// dwell is a task that takes as many milliseconds as its argument says.
var dwell = mp.Register("dwell", func(ctx context.Context, ms int) (int, error) {
	timer := time.NewTimer(time.Duration(ms) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return os.Getpid(), nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
})

// sum is a task that reads all of its argument.
var sum = mp.Register("sum", func(_ context.Context, b []byte) (uint32, error) { return crc32.ChecksumIEEE(b), nil })

// chatter is a task that logs as many records as its argument says.
var chatter = mp.Register("chatter", func(_ context.Context, n int) (int, error) {
	for i := range n {
		slog.Info("a record", "i", i)
	}
	return n, nil
})

type holding struct {
	Mutex *ipc.Mutex
	Held  *ipc.Event
}

// holdLock is a task that holds a lock for a while.
var holdLock = mp.Register("holdLock", func(ctx context.Context, h holding) (int, error) {
	if err := h.Mutex.Lock(ctx); err != nil {
		return 0, err
	}
	err := h.Held.Set()
	timer := time.NewTimer(stopped / 2)
	<-timer.C
	return os.Getpid(), errors.Join(err, h.Mutex.Unlock())
})

// stopped is how long an honest worker is stopped. That is several grace periods, and longer than
// any time limit for a dead worker.
const stopped = 2 * time.Second

// lonePool creates a pool of one worker, in addition to the world's pools.
func lonePool(w *world) (pool *mp.Pool, pid int, err error) {
	pool, err = mp.NewPool(mp.PoolConfig{Workers: 1, Grace: w.bounds.Grace, Env: quickExit, Output: quiet})
	if err != nil {
		return nil, 0, err
	}
	pid, err = mp.Call(context.Background(), pool, whoami, 0)
	return pool, pid, err
}

// suspend stops a process. It continues the process after f has returned and the time stopped has
// passed.
func suspend(pid int, f func()) error {
	timer := time.NewTimer(stopped)
	defer timer.Stop()
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		return err
	}
	f()
	<-timer.C
	return unix.Kill(pid, unix.SIGCONT)
}

// same returns an error unless the pool's worker is still the same.
func same(pool *mp.Pool, pid int) error {
	ctx, cancel := context.WithTimeout(context.Background(), CallTimeout)
	defer cancel()
	now, err := mp.Call(ctx, pool, whoami, 0)
	if err == nil && now != pid {
		err = fmt.Errorf("the worker was %d and is %d", pid, now)
	}
	return err
}

func stoppedIdle(_ context.Context, w *world) error {
	pool, pid, err := lonePool(w)
	if err != nil {
		return err
	}
	defer pool.Close()
	return errors.Join(suspend(pid, func() {}), same(pool, pid))
}

func stoppedInTask(ctx context.Context, w *world) error {
	pool, pid, err := lonePool(w)
	if err != nil {
		return err
	}
	defer pool.Close()
	task := mp.Submit(ctx, pool, dwell, 50)
	if err := suspend(pid, func() {}); err != nil {
		return err
	}
	_, err = task.Result(ctx)
	return errors.Join(err, same(pool, pid))
}

// stoppedWithQueue fills the queue of a stopped worker with small tasks, which go through the ring,
// and a large one, which does not.
func stoppedWithQueue(ctx context.Context, w *world) error {
	pool, pid, err := lonePool(w)
	if err != nil {
		return err
	}
	defer pool.Close()
	results := make(chan error, 2)
	err = suspend(pid, func() {
		go func() {
			in := make([]int, 1000)
			out, err := mp.Map(ctx, pool, double, in)
			for i := 0; i < len(out) && err == nil; i++ {
				err = check(out[i], doubled(0), err)
			}
			results <- err
		}()
		go func() {
			b := make([]byte, 1<<20)
			got, err := mp.Call(ctx, pool, sum, b)
			results <- check(int(got), int(crc32.ChecksumIEEE(b)), err)
		}()
	})

	return errors.Join(err, <-results, <-results, same(pool, pid))
}

func stoppedWithLock(ctx context.Context, w *world) error {
	pool, pid, err := lonePool(w)
	if err != nil {
		return err
	}
	defer pool.Close()
	h := holding{}
	if h.Mutex, err = ipc.NewMutex(); err != nil {
		return err
	}
	defer h.Mutex.Close()

	if h.Held, err = ipc.NewEvent(); err != nil {
		return err
	}
	defer h.Held.Close()
	task := mp.Submit(ctx, pool, holdLock, h)
	if err := h.Held.Wait(ctx); err != nil {
		return err
	}

	err = suspend(pid, func() {
		short, cancel := context.WithTimeout(ctx, w.bounds.Grace)
		defer cancel()
		if err := h.Mutex.Lock(short); !errors.Is(err, context.DeadlineExceeded) {
			w.fault("a lock that a stopped worker holds: %v", err)
		}
	})
	_, failed := task.Result(ctx)
	return errors.Join(err, failed, h.Mutex.Lock(ctx), h.Mutex.Unlock(), same(pool, pid))
}

type talking struct {
	Dict    *manager.Dict[string, int]
	Started *ipc.Event
	N       int
}

// talk is a task that sends many requests to a manager.
var talk = mp.Register("talk", func(ctx context.Context, t talking) (int, error) {
	for i := range t.N {
		if err := t.Dict.Set(ctx, "talk", i); err != nil {
			return i, err
		}
		if i == t.N/10 {
			if err := t.Started.Set(); err != nil {
				return i, err
			}
		}
	}
	return t.N, nil
})

func stoppedWithManager(ctx context.Context, w *world) error {
	pool, pid, err := lonePool(w)
	if err != nil {
		return err
	}
	defer pool.Close()
	started, err := ipc.NewEvent()
	if err != nil {
		return err
	}
	defer started.Close()
	often := 3000
	if race.Enabled {
		often /= 10 // each request takes that much longer
	}

	task := mp.Submit(ctx, pool, talk, talking{w.ours, started, often})
	if err := started.Wait(ctx); err != nil {
		return err
	}
	err = suspend(pid, func() {})
	n, failed := task.Result(ctx)
	return errors.Join(err, check(n, often, failed), same(pool, pid))
}

// debugged stops all threads of an idle worker with a tracer for a while.
func debugged(_ context.Context, w *world) error {
	pool, pid, err := lonePool(w)
	if err != nil {
		return err
	}
	defer pool.Close()
	traced := make(chan error)
	go func() {
		runtime.LockOSThread() // the tracer is a thread, which ends with this goroutine
		traced <- trace(pid)
	}()
	if err := <-traced; err != nil {
		return err
	}
	return same(pool, pid)
}

func trace(pid int) error {
	dirs, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil {
		return err
	}
	var tids []int
	for _, dir := range dirs {
		tid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			return err
		}
		if err := unix.PtraceSeize(tid); err != nil {
			return os.NewSyscallError("ptrace", err)
		}
		tids = append(tids, tid)
		if err := unix.PtraceInterrupt(tid); err != nil {
			return os.NewSyscallError("ptrace", err)
		}
		var status unix.WaitStatus
		if _, err := unix.Wait4(tid, &status, unix.WALL, nil); err != nil {
			return os.NewSyscallError("wait4", err)
		}
	}

	timer := time.NewTimer(stopped)
	<-timer.C
	for _, tid := range tids {
		if err := unix.PtraceDetach(tid); err != nil {
			return os.NewSyscallError("ptrace", err)
		}
	}

	return nil
}

// slowTaker sends a large argument to a worker behind a slow line. The pool must not give up on the
// worker.
func slowTaker(ctx context.Context, w *world, size int) error {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i * i >> 8)
	}
	pid, err := mp.Call(ctx, w.attacked, whoami, 0)
	if err != nil {
		return err
	}
	got, err := mp.Call(ctx, w.attacked, sum, b)
	return errors.Join(check(int(got), int(crc32.ChecksumIEEE(b)), err), same(w.attacked, pid))
}

func slowMap(ctx context.Context, w *world, n, size int) error {
	in := make([][]byte, n)
	for i := range in {
		in[i] = make([]byte, size)
		in[i][0] = byte(i)
	}
	pid, err := mp.Call(ctx, w.attacked, whoami, 0)
	if err != nil {
		return err
	}

	out, err := mp.Map(ctx, w.attacked, sum, in)
	if err != nil {
		return err
	}
	err = same(w.attacked, pid)
	for i, got := range out {
		err = errors.Join(err, check(int(got), int(crc32.ChecksumIEEE(in[i])), nil))
	}
	return err
}

// slowRecords is a slow log handler.
type slowRecords struct {
	slog.Handler
	n *atomic.Int64
}

func (s slowRecords) Handle(context.Context, slog.Record) error {
	const each = 2 * time.Millisecond
	timer := time.NewTimer(each)
	<-timer.C
	s.n.Add(1)
	return nil
}
func (s slowRecords) WithAttrs([]slog.Attr) slog.Handler { return s }
func (s slowRecords) WithGroup(string) slog.Handler      { return s }

// slowHandler checks that all records arrive even if the handler is slower than the worker.
func slowHandler(ctx context.Context, w *world) error {
	var n atomic.Int64
	out := quiet
	out.Logger = slog.New(slowRecords{slog.NewTextHandler(io.Discard, nil), &n})
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 1, Grace: w.bounds.Grace, Env: quickExit, Output: out})
	if err != nil {
		return err
	}
	const records = 500
	got, err := mp.Call(ctx, pool, chatter, records)
	err = errors.Join(check(got, records, err), pool.Close())
	if n.Load() < records {
		err = errors.Join(err, fmt.Errorf("%d of %d records have arrived", n.Load(), records))
	}
	return err
}

// slowLine relays a connection in parts, with a pause between them.
func slowLine(address string, part int, every time.Duration) (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		from, err := l.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", address)
		if err != nil {
			_ = from.Close()
			return
		}
		go drip(from, to, part, every)
		drip(to, from, part, every)
	}()

	return l, nil
}

func drip(from, to net.Conn, part int, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	buf := make([]byte, part)
	for {
		n, err := from.Read(buf)
		if err == nil {
			_, err = to.Write(buf[:n])
		}
		if err != nil {
			_, _ = from.Close(), to.Close()
			return
		}
		<-ticker.C
	}
}

// slowHandshake makes a handshake take seconds, but less than HandshakeTimeout.
func slowHandshake(ctx context.Context, w *world) error {
	l, err := slowLine(w.listener.Addr().String(), 2, 40*time.Millisecond)
	if err != nil {
		return err
	}
	defer l.Close()
	c, err := connection.Dial[int](ctx, "tcp", l.Addr().String(), peers())
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Send(ctx, 5); err != nil {
		return err
	}
	n, err := c.Recv(ctx)
	return check(n, doubled(5), err)
}

// slowPeer sends and receives a message over a slow line.
func slowPeer(ctx context.Context, _ *world) error {
	l, err := connection.Listen[[]byte]("tcp", "127.0.0.1:0", peers())
	if err != nil {
		return err
	}
	defer l.Close()
	line, err := slowLine(l.Addr().String(), 64<<10, 16*time.Millisecond)
	if err != nil {
		return err
	}
	defer line.Close()

	go func() {
		c, err := l.Accept(ctx)
		if err != nil {
			return
		}
		defer c.Close()
		b, err := c.Recv(ctx)
		if err == nil {
			_ = c.Send(ctx, b[:8])
		}
		_, _ = c.Recv(ctx)
	}()

	c, err := connection.Dial[[]byte](ctx, "tcp", line.Addr().String(), peers())
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Send(ctx, make([]byte, 8<<20)); err != nil {
		return err
	}
	b, err := c.Recv(ctx)
	return check(len(b), 8, err)
}
