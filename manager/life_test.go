//go:build linux

package manager_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/manager"
	"github.com/go-multiprocessing/mp/mptest"
)

// M13 V19: calls that are made after the end, or that wait when the end comes, return an error that
// says so. Ending twice is fine.
func TestEnd(t *testing.T) {
	mptest.NoLeaks(t)
	for name, end := range map[string]func(m *manager.Manager) error{
		"shutdown": func(m *manager.Manager) error { return m.Shutdown(t.Context()) },
		"close":    (*manager.Manager).Close,
	} {
		ctx := soon(t)
		m := start(t, manager.Config{})
		d := must(manager.NewDict[int, int](ctx, m))
		lock := must(manager.NewMutex(ctx, m))
		_ = lock.Lock(ctx)
		waits := make(chan error)
		go func() { waits <- lock.Lock(ctx) }()
		until(t, "it waits", func() bool { return stats(t, m).Waiting == 1 })
		pid := m.PID()
		for range 2 {
			if err := end(m); err != nil {
				t.Error(name, err)
			}
		}

		if err := <-waits; !errors.Is(err, mp.ErrClosed) && !errors.Is(err, manager.ErrLost) {
			t.Error(name, err)
		}

		<-m.Done()
		if alive(pid) {
			t.Error(name, "it lives")
		}

		_, err := d.Len(ctx)
		_, err2 := manager.NewSet[int](ctx, m, nil)
		for _, err := range []error{err, err2, m.Ping(ctx), d.Set(ctx, 1, 1), lock.Unlock(ctx)} {
			if !errors.Is(err, mp.ErrClosed) {
				t.Error(name, err)
			}
		}
	}
}

func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(b), ") Z ")
}

// If a manager is killed, its users get errors, and nothing else happens.
func TestKilled(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := soon(t)
	m := start(t, manager.Config{})
	d := must(manager.NewDict[int, int](ctx, m))
	lock := must(manager.NewMutex(ctx, m))
	_ = lock.Lock(ctx)
	waits := make(chan error)
	go func() { waits <- lock.Lock(ctx) }()
	until(t, "it waits", func() bool { return stats(t, m).Waiting == 1 })
	_ = syscall.Kill(m.PID(), syscall.SIGKILL)
	if err := <-waits; !errors.Is(err, manager.ErrLost) && !errors.Is(err, mp.ErrClosed) {
		t.Error(err)
	}

	<-m.Done()
	until(t, "that is known", func() bool { _, err := d.Len(ctx); return errors.Is(err, mp.ErrClosed) })
	if err := m.Shutdown(ctx); err == nil {
		t.Error("it did not end by itself")
	}
}

// stop stops a process, and returns when all its threads have stopped.
func stop(t testing.TB, pid int) {
	t.Helper()
	_ = syscall.Kill(pid, syscall.SIGSTOP)
	until(t, "it is stopped", func() bool {
		stats, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		for _, s := range stats {
			if b, err := os.ReadFile(s); err == nil && !strings.Contains(string(b), ") T ") {
				return false
			}
		}
		return true
	})
}

// M19: a manager that does not end when asked is terminated. If it still does not end, it is
// killed.
func TestShutdownInOrder(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := soon(t)
	m := start(t, manager.Config{Grace: 50 * time.Millisecond})
	stop(t, m.PID()) // a stopped process does nothing when asked or terminated
	if err := m.Shutdown(ctx); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Error(err)
	}

	m = start(t, manager.Config{Grace: 3 * time.Second})          // also the time that the manager has to end when terminated
	must(manager.New(ctx, m, neverClosed, 0, manager.Named("x"))) // when asked, the manager waits for this object's end
	var w *mp.WorkerError
	if err := m.Shutdown(ctx); !errors.As(err, &w) || w.Signal != syscall.SIGTERM {
		t.Error(err)
	}

	m = start(t, manager.Config{Grace: time.Hour})
	stop(t, m.PID())
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if err := m.Shutdown(short); !errors.Is(err, context.DeadlineExceeded) || alive(m.PID()) {
		t.Error(err)
	}
}

// While a call of Shutdown waits for the manager's end, other calls fail at once. Close cuts the
// wait short.
func TestDuringShutdown(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := soon(t)
	m := start(t, manager.Config{Grace: time.Hour})
	stop(t, m.PID())
	over := make(chan error)
	go func() { over <- m.Shutdown(ctx) }()
	until(t, "it is shut", func() bool {
		short, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		return errors.Is(m.Ping(short), mp.ErrClosed)
	})

	if err := m.Close(); err != nil {
		t.Error(err)
	}

	if err := <-over; err == nil {
		t.Error("it did not end by itself")
	}
}

type unclosable struct{}

func (*unclosable) Close() error { select {} }

var neverClosed = manager.Type("unclosable", func(context.Context, int) (*unclosable, error) { return &unclosable{}, nil })

type abandoning struct {
	PID  *ipc.Conn[int]
	Wait bool
}

var abandon = mp.RegisterAction("abandon", func(ctx context.Context, a abandoning) error {
	m, err := manager.Start(ctx, manager.Config{})
	if err != nil {
		return err
	}
	err = a.PID.Send(ctx, m.PID())
	if a.Wait {
		<-ctx.Done()
	}
	return err
})

// M20: a manager that is not shut down ends with the process that started it, however that process
// ends.
func TestAbandoned(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := soon(t)
	for _, kill := range []bool{false, true} {
		ours, theirs, err := ipc.NewPipe[int]()
		if err != nil {
			t.Fatal(err)
		}

		p, err := mp.NewProcess(abandon, abandoning{theirs, kill}, mp.ProcessConfig{})
		if err == nil {
			err = p.Start()
		}
		if err != nil {
			t.Fatal(err)
		}

		pid, err := ours.Recv(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if kill {
			_ = p.Kill()
		}
		_, _ = p.Wait(ctx)
		until(t, "the manager has ended", func() bool { return !alive(pid) })
		_ = ours.Close()
	}
}

// A bad config returns an error that names the field, and leaves nothing behind.
func TestConfig(t *testing.T) {
	mptest.NoLeaks(t)
	for field, cfg := range map[string]manager.Config{
		"Limits.Objects": {Limits: manager.Limits{Objects: -1}}, "Limits.Bytes": {Limits: manager.Limits{Bytes: -1}},
		"Linger": {Linger: -1}, "Grace": {Grace: -1}, "Network": {Address: "x"}, "Key": {Network: "tcp", Address: "127.0.0.1:0"},
		"Env": {Process: mp.ProcessConfig{Env: []string{"x"}}}, "udp": {Network: "udp", Address: "x", Key: secret}, "15 bytes": {Network: "tcp", Address: "127.0.0.1:0", Key: secret[:15]},
	} {
		if _, err := manager.Start(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), field) {
			t.Error(field, err)
		}
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := manager.Start(over, manager.Config{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A call that exceeds the limits is refused and changes nothing. Removing data makes room.
func TestLimits(t *testing.T) {
	ctx := soon(t)
	m := start(t, manager.Config{Limits: manager.Limits{Objects: 3, Bytes: 10_000, Calls: 5}})
	d := must(manager.NewDict[int, []byte](ctx, m))
	l := must(manager.NewList[[]byte](ctx, m, nil))
	e := must(manager.NewMutex(ctx, m))
	if _, err := manager.NewEvent(ctx, m); !errors.Is(err, manager.ErrLimit) {
		t.Error(err)
	}

	large := make([]byte, 9000)
	if err := d.Set(ctx, 1, large); err != nil {
		t.Fatal(err)
	}

	if err := d.Set(ctx, 2, large); !errors.Is(err, manager.ErrLimit) {
		t.Error(err)
	}

	if _, err := l.Append(ctx, []byte{1}, large); !errors.Is(err, manager.ErrLimit) {
		t.Error(err)
	}

	if n := must(d.Len(ctx)) + must(l.Len(ctx)); n != 1 {
		t.Error(n)
	}

	for range 10 {
		if err := d.Set(ctx, 1, large); err != nil { // it replaces the old value
			t.Error(err)
		}
	}
	_, _ = d.Delete(ctx, 1)
	if _, err := l.Append(ctx, []byte{1}, large); err != nil {
		t.Error(err)
	}
	_ = e.Lock(ctx)
	over, cancel := context.WithCancel(ctx)
	errs := make(chan error, 6)
	for range 6 {
		go func() { errs <- e.Lock(over) }()
	}
	if err := <-errs; !errors.Is(err, manager.ErrLimit) {
		t.Error(err)
	}
	cancel()
	for range 5 {
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	_ = l.Close()
	if _, err := manager.NewEvent(ctx, m); err != nil {
		t.Error(err)
	}
}

var touch = mp.RegisterAction("touch", func(ctx context.Context, c counting) error {
	me := fmt.Sprint(os.Getpid())
	for i := range c.N {
		if err := c.Counts.Set(ctx, me, i); err != nil {
			return err
		}
		if v, ok, err := c.Counts.Get(ctx, me); v != i || !ok || err != nil {
			return errors.Join(err, fmt.Errorf("%d, %v in the place of %d", v, ok, i))
		}
		if _, err := manager.Update(ctx, c.Counts, "all", plus, 1); err != nil {
			return err
		}
	}
	return nil
})

// A hundred processes use one manager at once without errors.
func TestHundredClients(t *testing.T) {
	if testing.Short() {
		t.Skip("a hundred processes")
	}

	mptest.NoLeaks(t)
	ctx := t.Context()
	m := start(t, manager.Config{})
	d := must(manager.NewDict[string, int](ctx, m))
	var all sync.WaitGroup
	for range 100 {
		p, err := mp.NewProcess(touch, counting{d, 9}, mp.ProcessConfig{Output: mp.Output{Stderr: io.Discard}})
		if err == nil {
			err = p.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			if _, err := p.Wait(ctx); err != nil {
				t.Error(err)
			}
		})
	}

	all.Wait()
	if n, _, err := d.Get(ctx, "all"); n != 900 || err != nil {
		t.Error(n, err)
	}

	if n, err := d.Len(ctx); n != 101 || err != nil {
		t.Error(n, err)
	}
	until(t, "all have gone", func() bool { return stats(t, m).Clients == 1 })
}

// A manager that does not answer in time answers later. Whatever the manager did for calls that no
// caller waits for any longer is undone, even if this process makes no further calls.
func TestAnswersTooLate(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := soon(t)
	m, _ := remote(t, manager.Config{})
	far := dial(t, m)
	lock, lock2 := must(manager.NewMutex(ctx, m, manager.Named("lock"))), must(manager.NewMutex(ctx, far, manager.Named("lock")))
	rw, rw2 := must(manager.NewRWMutex(ctx, m, manager.Named("rw"))), must(manager.NewRWMutex(ctx, far, manager.Named("rw")))
	permit, permit2 := must(manager.NewSemaphore(ctx, m, 1, manager.Named("permit"))), must(manager.NewSemaphore(ctx, far, 1, manager.Named("permit")))
	q, q2 := must(manager.NewQueue[int](ctx, m, 0, manager.Named("queue"))), must(manager.NewQueue[int](ctx, far, 0, manager.Named("queue")))
	for name, c := range map[string]struct {
		late, other func(ctx context.Context) error
	}{
		"Lock":       {lock.Lock, func(ctx context.Context) error { return errors.Join(lock2.Lock(ctx), lock2.Unlock(ctx)) }},
		"TryLock":    {func(ctx context.Context) error { _, err := lock.TryLock(ctx); return err }, func(ctx context.Context) error { return errors.Join(lock2.Lock(ctx), lock2.Unlock(ctx)) }},
		"TryRLock":   {func(ctx context.Context) error { _, err := rw.TryRLock(ctx); return err }, func(ctx context.Context) error { return errors.Join(rw2.Lock(ctx), rw2.Unlock(ctx)) }},
		"TryAcquire": {func(ctx context.Context) error { _, err := permit.TryAcquire(ctx); return err }, func(ctx context.Context) error { return errors.Join(permit2.Acquire(ctx), permit2.Release(ctx)) }},
		"Get":        {func(ctx context.Context) error { _, err := q.Get(ctx); return err }, func(ctx context.Context) error { _, err := q2.Get(ctx); return err }},
		"TryGet":     {func(ctx context.Context) error { _, err := q.TryGet(ctx); return err }, func(ctx context.Context) error { _, err := q2.Get(ctx); return err }},
	} {
		if err := q.Put(ctx, 1); err != nil {
			t.Fatal(err)
		}

		stop(t, m.PID())
		short, cancel := context.WithTimeout(ctx, time.Millisecond)
		if err := c.late(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(name, err)
		}

		cancel()
		_ = syscall.Kill(m.PID(), syscall.SIGCONT)
		short, cancel = context.WithTimeout(ctx, 10*time.Second)
		if err := c.other(short); err != nil {
			t.Error(name, err)
		}

		cancel()
		for _, err := q.TryGet(ctx); err == nil; _, err = q.TryGet(ctx) {
		}
	}

	d := must(manager.NewDict[int, *manager.Mutex](ctx, m))
	_ = d.Set(ctx, 1, lock)
	_, _ = lock.Close(), lock2.Close()
	before := stats(t, m).Objects
	stop(t, m.PID())
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	if _, _, err := d.Get(short, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}

	_ = syscall.Kill(m.PID(), syscall.SIGCONT)
	_, _ = must(d.Delete(ctx, 1)), must(m.Forget(ctx, "lock"))
	until(t, "what nobody has got has gone", func() bool { return stats(t, m).Objects == before-1 })
	_, _ = far.Close(), m.Close()
}
