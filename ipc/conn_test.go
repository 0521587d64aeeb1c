//go:build linux

package ipc_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/mptest"
)

func newPipe[T any](t testing.TB, opts ...ipc.PipeOption) (*ipc.Conn[T], *ipc.Conn[T]) {
	t.Helper()
	a, b, err := ipc.NewPipe[T](opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = a.Close(), b.Close() })
	return a, b
}

type echoing struct {
	Conn *ipc.Conn[[]string]
	Raw  *ipc.Conn[int]
}

// echoAll sends back every message that it receives until the other end is closed.
var echoAll = mp.Register("echoAll", func(ctx context.Context, e echoing) (int, error) {
	for n := 0; ; n++ {
		v, err := e.Conn.Recv(ctx)
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err == nil {
			err = e.Conn.Send(ctx, v)
		}
		if err != nil {
			return n, err
		}
	}
})

var echoBytes = mp.Register("echoBytes", func(ctx context.Context, c *ipc.Conn[int]) (int, error) {
	buf := make([]byte, 1<<25)
	for n := 0; ; n++ {
		m, err := c.RecvInto(ctx, buf)
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err == nil {
			err = c.SendBytes(ctx, buf[:m])
		}
		if err != nil {
			return n, err
		}
	}
})

// N1 N7 N9 N13: values are echoed message by message. An end that was sent to a child is only in
// the child, so each side notices when the other closes its end.
func TestPipeEcho(t *testing.T) {
	mptest.NoLeaks(t)
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	ours, theirs := newPipe[[]string](t)
	task := mp.Submit(t.Context(), pool, echoAll, echoing{Conn: theirs})
	if _, err := theirs.Recv(t.Context()); !errors.Is(err, ipc.ErrMoved) {
		t.Error(err)
	}

	for i := range 1000 {
		want := strings.Split(strings.Repeat("x", i%50), "")
		if err := ours.Send(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		if got, err := ours.Recv(t.Context()); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatal(got, err)
		}
	}

	if err := ours.Close(); err != nil {
		t.Error(err)
	}
	if n, err := task.Result(t.Context()); n != 1000 || err != nil {
		t.Error(n, err)
	}
	if err := ours.Send(t.Context(), nil); !errors.Is(err, mp.ErrClosed) { // N17
		t.Error(err)
	}
	if err := errors.Join(ours.Close(), theirs.Close()); err != nil {
		t.Error(err)
	}
}

// N1 N2 N6 N10 N11: byte messages of any length are received, with and without a buffer of the
// caller's.
func TestPipeBytes(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := t.Context()
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	ours, theirs := newPipe[int](t)
	task := mp.Submit(ctx, pool, echoBytes, theirs)
	sizes := []int{0, 1, 7, 8, 9, 4096, 16 << 10, 16<<10 + 1, 64 << 10, 1 << 20, 16 << 20}
	for i, size := range sizes {
		want := bytes.Repeat([]byte{byte(i), 2, 3}, size/3+1)[:size]
		if err := ours.SendBytes(ctx, want); err != nil {
			t.Fatal(err)
		}
		if got, err := ours.RecvBytes(ctx); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes of %d, %v", len(got), size, err)
		}
	}

	if err := ours.SendBytes(ctx, []byte("12345678")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 10)
	for _, short := range []int{0, 7} {
		if n, err := ours.RecvInto(ctx, buf[:short]); n != 8 || !errors.Is(err, io.ErrShortBuffer) {
			t.Error(n, err)
		}
	}

	var codecError *mp.CodecError
	if _, err := ours.Recv(ctx); !errors.As(err, &codecError) { // not a value; the message stays
		t.Error(err)
	}
	if n, err := ours.RecvInto(ctx, buf); n != 8 || err != nil || string(buf[:n]) != "12345678" {
		t.Error(n, err)
	}

	_ = ours.Close()
	if n, err := task.Result(ctx); n != len(sizes)+1 || err != nil {
		t.Error(n, err)
	}
}

// N4 N5: Poll waits for a message but does not take it.
func TestPipePoll(t *testing.T) {
	ctx := t.Context()
	a, b := newPipe[int](t)
	for _, wait := range []time.Duration{-1, 0, 1, 20 * time.Millisecond} {
		began := time.Now()
		if ready, err := a.Poll(ctx, wait); ready || err != nil || time.Since(began) < wait {
			t.Error(ready, err, time.Since(began))
		}
	}

	go func() { _ = b.Send(ctx, 1) }()
	for range 3 {
		if ready, err := a.Poll(ctx, time.Minute); !ready || err != nil {
			t.Error(ready, err)
		}
	}

	if v, err := a.Recv(ctx); v != 1 || err != nil {
		t.Error(v, err)
	}
	over, cancel := context.WithCancel(ctx)
	go cancel()
	if _, err := a.Poll(over, time.Minute); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	_ = b.Close()
	if ready, err := a.Poll(ctx, 0); !ready || err != nil { // Recv would return io.EOF at once
		t.Error(ready, err)
	}
}

// TryRecv receives a message that has arrived, and does not wait.
func TestPipeTryRecv(t *testing.T) {
	a, b := newPipe[string](t)
	if _, err := a.TryRecv(); !errors.Is(err, ipc.ErrEmpty) {
		t.Error(err)
	}

	large := strings.Repeat("x", 1<<20)
	for _, want := range []string{"small", large} {
		if err := b.Send(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		if got, err := a.TryRecv(); got != want || err != nil {
			t.Error(len(got), err)
		}
	}

	_ = b.SendBytes(t.Context(), []byte("x"))
	if _, err := a.TryRecv(); err == nil {
		t.Error("bytes received as a value")
	}
	if got, err := a.RecvBytes(t.Context()); string(got) != "x" || err != nil {
		t.Error(got, err)
	}
	_ = b.Close()
	if _, err := a.TryRecv(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	_ = a.Close()
	if _, err := a.TryRecv(); !errors.Is(err, mp.ErrClosed) {
		t.Error(err)
	}
}

// TrySend sends if there is room, and does not wait.
func TestPipeTrySend(t *testing.T) {
	a, b := newPipe[string](t, ipc.Buffer(4096))
	n := 0
	for ; ; n++ {
		if err := a.TrySend("some text"); errors.Is(err, ipc.ErrFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := a.TrySendBytes(make([]byte, 100)); !errors.Is(err, ipc.ErrFull) {
		t.Error(err)
	}
	for range n {
		if got, err := b.TryRecv(); got != "some text" || err != nil {
			t.Fatal(got, err)
		}
	}

	for _, size := range []int{0, 10, 1 << 20} {
		if err := a.TrySendBytes(make([]byte, size)); err != nil {
			t.Error(err)
		}
		if got, err := b.RecvBytes(t.Context()); len(got) != size || err != nil {
			t.Error(len(got), err)
		}
	}

	_ = b.Close()
	if err := a.TrySend(""); !errors.Is(err, io.ErrClosedPipe) || n < 100 {
		t.Error(n, err)
	}
}

// N20: signals do not interrupt a waiting Recv.
func TestPipeSignals(t *testing.T) {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGUSR1)
	defer signal.Stop(caught)

	a, b := newPipe[int](t)
	received := make(chan error, 1)
	go func() {
		v, err := a.Recv(t.Context())
		if err == nil && v != 7 {
			err = fmt.Errorf("received %d", v)
		}
		received <- err
	}()
	for range 20 {
		if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		<-caught
	}
	if err := errors.Join(b.Send(t.Context(), 7), <-received); err != nil {
		t.Error(err)
	}
}

// N8: one end of a one-way pipe only receives, and the other only sends.
func TestOneWayPipe(t *testing.T) {
	ctx := t.Context()
	r, w := newPipe[string](t, ipc.OneWay())
	_, err := w.Recv(ctx)
	_, err2 := w.Poll(ctx, 0)
	for _, err := range []error{r.Send(ctx, "x"), r.SendBytes(ctx, nil), err, err2} {
		if !errors.Is(err, ipc.ErrDirection) {
			t.Error(err)
		}
	}

	if err := w.Send(ctx, "there"); err != nil {
		t.Error(err)
	}
	_ = w.Close()
	if s, err := r.Recv(ctx); s != "there" || err != nil {
		t.Error(s, err)
	}
	if _, err := r.Recv(ctx); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

var holdConn = mp.Register("holdConn", func(ctx context.Context, c *ipc.Conn[int]) (int, error) {
	if err := c.Send(ctx, os.Getpid()); err != nil {
		return 0, err
	}
	<-ctx.Done()
	return 0, ctx.Err()
})

// If a process dies, its end of a pipe is closed. The task is not retried, since the end cannot be
// sent again.
func TestPipeEndDies(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := t.Context()
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	for name, start := range map[string]func(c *ipc.Conn[int]) interface{ Err(context.Context) error }{
		"submit": func(c *ipc.Conn[int]) interface{ Err(context.Context) error } {
			return ending[int]{mp.Submit(ctx, pool, holdConn, c, mp.Retries(5))}
		},
		"map": func(c *ipc.Conn[int]) interface{ Err(context.Context) error } {
			return ending[[]int]{mp.MapAsync(ctx, pool, holdConn, []*ipc.Conn[int]{c}, mp.Retries(5))}
		},
	} {
		ours, theirs := newPipe[int](t)
		task := start(theirs)
		pid, err := ours.Recv(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if _, err := ours.Recv(ctx); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		if err := ours.Send(ctx, 1); !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}

		var died *mp.WorkerError
		if err := task.Err(ctx); !errors.As(err, &died) {
			t.Error(name, err)
		}

		_ = ours.Close()
	}
}

// ending lets tests get the error of a future of any type.
type ending[T any] struct{ f *mp.Future[T] }

func (e ending[T]) Err(ctx context.Context) error {
	_, err := e.f.Result(ctx)
	return err
}

var takeConn = mp.Register("takeConn", func(ctx context.Context, c *ipc.Conn[int]) (*ipc.Conn[int], error) {
	return c, c.Send(ctx, 7)
})

// N19: an end is sent to a child, comes back as a result, and is passed on through a queue and
// another pipe. The receiver has the end even if the sender has ended.
func TestPipeEndTravels(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := t.Context()
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	ours, theirs := newPipe[int](t)
	q := newQueue[*ipc.Conn[int]](t, 5)
	over, under := newPipe[[]*ipc.Conn[int]](t)
	for range 5 {
		back, err := mp.Call(ctx, pool, takeConn, theirs)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := theirs.Recv(ctx); !errors.Is(err, ipc.ErrMoved) {
			t.Error(err)
		}
		theirs = back
		if err := q.Put(ctx, theirs); err != nil {
			t.Fatal(err)
		}
		if theirs, err = q.Get(ctx); err != nil {
			t.Fatal(err)
		}
		if err := over.Send(ctx, []*ipc.Conn[int]{theirs}); err != nil {
			t.Fatal(err)
		}
		got, err := under.Recv(ctx)
		if err != nil {
			t.Fatal(err)
		}
		theirs = got[0]
		if err := theirs.Send(ctx, 8); err != nil {
			t.Fatal(err)
		}
		a, err := ours.Recv(ctx)
		b, err2 := ours.Recv(ctx)
		if a != 7 || b != 8 || err != nil || err2 != nil {
			t.Fatal(a, b, err, err2)
		}
	}

	// An end in a message that is not received is closed, both in a queue and in a pipe.
	if err := q.Put(ctx, theirs); err != nil {
		t.Fatal(err)
	}
	if err := q.Discard(); err != nil {
		t.Fatal(err)
	}
	if _, err := ours.Recv(ctx); !errors.Is(err, io.EOF) {
		t.Error(err)
	}

	a, b := newPipe[int](t)
	if err := over.Send(ctx, []*ipc.Conn[int]{b}); err != nil {
		t.Fatal(err)
	}

	_ = under.Close()
	if _, err := a.Recv(ctx); !errors.Is(err, io.EOF) {
		t.Error(err)
	}

	_, _, _ = a.Close(), over.Close(), ours.Close()
}

// An end that could not be sent stays with the sender. An end that does not arrive is closed.
func TestPipeEndStays(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := t.Context()
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	a, b := newPipe[any](t)
	works := func(what string) {
		t.Helper()
		if err := b.Send(ctx, what); err != nil {
			t.Fatal(what, err)
		}
		if got, err := a.Recv(ctx); got != what || err != nil {
			t.Fatal(got, err)
		}
	}

	inMessage := newQueue[any](t, 1)
	if err := inMessage.Put(ctx, []any{b, func() {}}); err == nil {
		t.Error("a function was encoded")
	}
	if err := inMessage.Put(ctx, []any{b, b}); err == nil {
		t.Error("twice in one message")
	}
	works("after a failed encoding")

	if err := inMessage.Put(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if err := inMessage.TryPut(b); !errors.Is(err, ipc.ErrFull) {
		t.Error(err)
	}

	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	if err := inMessage.Put(short, b); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	works("when there was no room")

	// The next newPool calls NoLeaks. By then, this pool must have started.
	if err := pool.Ready(ctx); err != nil {
		t.Fatal(err)
	}

	closed := newPool(t, mp.PoolConfig{Workers: 1})
	closed.Close()
	if _, err := mp.Call(ctx, closed, anything, any(b)); !errors.Is(err, mp.ErrClosed) {
		t.Error(err)
	}
	works("after a closed pool")

	go func() {
		for { // the end may be in a failing TryPut, which gives the end back
			if _, err := b.Recv(ctx); !errors.Is(err, ipc.ErrMoved) {
				return
			}
		}
	}()

	until(t, "it is in use", func() bool { // the queue is still full
		var inUse *mp.CodecError
		return errors.As(inMessage.TryPut(b), &inUse)
	})

	_ = a.Close()

	// An end is closed if the task to which it was sent does not start.
	c, d := newPipe[any](t)
	busy := mp.Submit(ctx, pool, anything, any("block"))
	over, stop := context.WithCancel(ctx)
	never := mp.Submit(over, pool, anything, any(d))
	if err := d.Close(); err != nil { // as a deferred Close would
		t.Error(err)
	}
	stop()
	if _, err := never.Result(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := c.Recv(ctx); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	busy.Cancel()
	_, _ = busy.Result(ctx)
	_, _ = c.Close(), b.Close()
}

type departing struct {
	Conn *ipc.Conn[any]
	Slab *ipc.Slab[byte]
}

type doomed struct {
	Queue *ipc.Queue[departing]
	Value departing
}

var dieWhilePutting = mp.Register("dieWhilePutting", func(ctx context.Context, d doomed) (int, error) {
	go func() {
		for d.Value.Slab.Slice() != nil { // sent after Conn
			runtime.Gosched()
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}()
	return 0, d.Queue.Put(ctx, d.Value)
})

// If a process dies while its Put waits for room, nothing has been put. The objects in the element
// are gone.
func TestDiesWhilePutting(t *testing.T) {
	mptest.NoLeaks(t)
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	q := newQueue[departing](t, 1)
	if err := q.Put(t.Context(), departing{}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		ours, theirs := newPipe[any](t)
		var died *mp.WorkerError
		if _, err := mp.Call(t.Context(), pool, dieWhilePutting, doomed{q, departing{theirs, newSlab[byte](t, 3<<20)}}); !errors.As(err, &died) {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if _, err := ours.Recv(short); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		cancel()
		_ = ours.Close()
	}

	_ = q.Discard()
}

func init() {
	mp.RegisterType[*ipc.Conn[any]]()
}

var anything = mp.Register("anything", func(ctx context.Context, v any) (bool, error) {
	if v == "block" {
		<-ctx.Done()
	}
	return true, nil
})

// The garbage collector closes an end that is no longer reachable.
func TestPipeEndForgotten(t *testing.T) {
	mptest.NoLeaks(t)
	a, _, err := ipc.NewPipe[int]()
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the other end is closed", func() bool {
		runtime.GC()
		ready, err := a.Poll(t.Context(), 0)
		return ready && err == nil
	})
	if _, err := a.Recv(t.Context()); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	_ = a.Close()
}

// Close wakes goroutines that wait at this end and at the other end.
func TestPipeCloseWakes(t *testing.T) {
	for range 200 {
		a, b := newPipe[int](t, ipc.Buffer(4096))
		var waits sync.WaitGroup
		waits.Go(func() {
			if _, err := a.Recv(t.Context()); !errors.Is(err, mp.ErrClosed) {
				t.Error(err)
			}
		})
		waits.Go(func() {
			if _, err := b.Recv(t.Context()); !errors.Is(err, io.EOF) {
				t.Error(err)
			}
		})

		_ = a.Close()
		waits.Wait()
		_ = b.Close()
	}
}

// A message that one receiver could not use wakes other receivers that are already waiting, and
// calls of Poll and Select.
func TestPipeHeldWakes(t *testing.T) {
	mptest.NoLeaks(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()

	a, b := newPipe[int](t)
	for name, wait := range map[string]func() error{
		"receive": func() error { return errOf(a.RecvBytes(ctx)) },
		"poll": func() error {
			if ready, err := a.Poll(ctx, time.Minute); !ready || err != nil {
				return fmt.Errorf("%v %w", ready, err)
			}
			return nil
		},
		"select": func() error { return errOf(ipc.Select(ctx, a)) },
	} {
		for range 200 {
			short, found := make(chan error), make(chan error)
			go func() { short <- errOf(a.RecvInto(ctx, nil)) }()
			go func() { found <- wait() }()
			runtime.Gosched()
			if err := b.SendBytes(ctx, []byte("first")); err != nil {
				t.Fatal(err)
			}
			if err := <-found; err != nil {
				t.Fatal(name, err)
			}
			if err := b.SendBytes(ctx, []byte("second")); err != nil { // in case the first was received
				t.Fatal(err)
			}
			if err := <-short; !errors.Is(err, io.ErrShortBuffer) {
				t.Fatal(name, err)
			}
			for last := ""; last != "second"; {
				got, err := a.RecvBytes(ctx)
				if err != nil {
					t.Fatal(name, err)
				}
				last = string(got)
			}
		}
	}

	_, _ = a.Close(), b.Close()
}

// A receiver that can use only some of the messages gets all the messages that it can use, in
// order, even if other goroutines receive too.
func TestPipeSorted(t *testing.T) {
	mptest.NoLeaks(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()

	a, b := newPipe[int](t, ipc.Buffer(4096))
	const each = 500
	var both sync.WaitGroup
	for _, next := range []func() (int, error){
		func() (int, error) { return a.Recv(ctx) },
		func() (int, error) {
			got, err := a.RecvBytes(ctx)
			return len(got), err
		},
	} {
		both.Go(func() {
			for want := 0; want < each; {
				got, err := next()
				var unfit *mp.CodecError
				switch {
				case errors.As(err, &unfit): // a message for the other receiver
				case got != want || err != nil:
					t.Error(got, want, err)
					return
				default:
					want++
				}
			}
		})
	}

	for i := range each {
		if err := errors.Join(b.Send(ctx, i), b.SendBytes(ctx, make([]byte, i))); err != nil {
			t.Error(err)
		}
	}

	both.Wait()
	_, _ = a.Close(), b.Close()
}

// A Recv that waits for its turn behind another Recv returns when its context ends, and TryRecv
// does not wait for a turn.
func TestPipeTurns(t *testing.T) {
	mptest.NoLeaks(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()

	a, b := newPipe[int](t)
	var waits sync.WaitGroup
	for range 3 {
		waits.Go(func() {
			for {
				if _, err := a.Recv(ctx); err != nil {
					if !errors.Is(err, mp.ErrClosed) {
						t.Error(err)
					}
					return
				}
			}
		})
	}

	for i := range 200 {
		for range i % 20 {
			if err := b.Send(ctx, i); err != nil {
				t.Fatal(err)
			}
		}
		for err := error(nil); !errors.Is(err, ipc.ErrEmpty); {
			if _, err = a.TryRecv(); err != nil && !errors.Is(err, ipc.ErrEmpty) {
				t.Fatal(err)
			}
		}
		if ready, err := a.Poll(ctx, 0); ready || err != nil { // no message is left
			t.Fatal(ready, err)
		}
		over, stop := context.WithCancel(ctx)
		go stop()
		if _, err := a.Recv(over); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}

	_ = a.Close()
	waits.Wait()
	_ = b.Close()
}

var huge = flag.Int("huge", 32<<20, "how many bytes TestHugeMessage sends")

var sumBytes = mp.Register("sumBytes", func(ctx context.Context, e struct {
	Conn  *ipc.Conn[int]
	Queue *ipc.Queue[[]byte]
}) (sums []uint32, err error) {
	b, err := e.Conn.RecvBytes(ctx)
	if err != nil {
		return nil, err
	}
	sums = append(sums, crc32.ChecksumIEEE(b))
	b, err = e.Queue.Get(ctx)
	return append(sums, crc32.ChecksumIEEE(b)), err
})

// A message may be larger than any buffer. With -huge 3221225472, the message's length does not fit
// into 31 bits.
func TestHugeMessage(t *testing.T) {
	mptest.NoLeaks(t)
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	q := newQueue[[]byte](t, 1)
	ours, theirs := newPipe[int](t)
	b := make([]byte, *huge)
	for i := 0; i < len(b); i += 1000 {
		b[i] = byte(i / 1000)
	}

	sums := mp.Submit(t.Context(), pool, sumBytes, struct {
		Conn  *ipc.Conn[int]
		Queue *ipc.Queue[[]byte]
	}{theirs, q})
	if err := errors.Join(ours.SendBytes(t.Context(), b), q.Put(t.Context(), b)); err != nil {
		t.Fatal(err)
	}
	want := crc32.ChecksumIEEE(b)
	if got, err := sums.Result(t.Context()); err != nil || len(got) != 2 || got[0] != want || got[1] != want {
		t.Error(got, want, err)
	}
	_, _ = ours.Close(), q.Discard()
}

// TryRecvBytes and TryRecvInto receive a message that has arrived, and do not wait for one.
func TestTryRecvBytes(t *testing.T) {
	a, b, err := ipc.NewPipe[int]()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()

	buf := make([]byte, 4)
	if _, err := b.TryRecvBytes(); !errors.Is(err, ipc.ErrEmpty) {
		t.Error(err)
	}
	if _, err := b.TryRecvInto(buf); !errors.Is(err, ipc.ErrEmpty) {
		t.Error(err)
	}

	for _, m := range []string{"abcd", "longer", "e"} {
		if err := a.SendBytes(t.Context(), []byte(m)); err != nil {
			t.Fatal(err)
		}
	}

	if n, err := b.TryRecvInto(buf); err != nil || string(buf[:n]) != "abcd" {
		t.Error(n, err)
	}
	if _, err := b.TryRecvInto(buf); !errors.Is(err, io.ErrShortBuffer) {
		t.Error(err)
	}
	if m, err := b.TryRecvBytes(); err != nil || string(m) != "longer" {
		t.Error(m, err)
	}
	if m, err := b.TryRecvBytes(); err != nil || string(m) != "e" {
		t.Error(m, err)
	}
	_ = b.Close()
	if _, err := b.TryRecvBytes(); !errors.Is(err, mp.ErrClosed) {
		t.Error(err)
	}
}

// RecvInto and TryRecvInto do not allocate.
func TestPipeAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector lets pools forget")
	}

	a, b := newPipe[int](t)
	ctx, buf := t.Context(), make([]byte, 100)
	for name, receive := range map[string]func() (int, error){
		"RecvInto":    func() (int, error) { return b.RecvInto(ctx, buf) },
		"TryRecvInto": func() (int, error) { return b.TryRecvInto(buf) },
	} {
		if n := testing.AllocsPerRun(1000, func() {
			if err := a.SendBytes(ctx, buf[:20]); err != nil {
				t.Error(err)
			}
			if n, err := receive(); err != nil || n != 20 {
				t.Error(n, err)
			}
		}); n > 0 {
			t.Errorf("%s: %v allocations a message", name, n)
		}
	}
}
