//go:build linux

package ipc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/mptest"
)

// These tests check what happens to objects after the processes that made, sent or received them
// have ended.

// alone runs f in a process of its own, and returns after the process has ended.
func alone[In, Out any](t *testing.T, f *mp.Func[In, Out], arg In) (Out, error) {
	t.Helper()
	p := must(mp.NewProcess(f, arg, mp.ProcessConfig{}))
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	out, err := p.Wait(t.Context())
	_ = p.Close()
	return out, err
}

// segmentFiles returns the number of this process's open descriptors of shared memory.
func segmentFiles(t testing.TB) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if to, _ := os.Readlink("/proc/self/fd/" + e.Name()); strings.HasPrefix(to, "/memfd:mp-") {
			n++
		}
	}
	return n
}

// things holds one object that can be sent.
type things struct {
	Mutex *ipc.Mutex
	Conn  *ipc.Conn[int] // the message 42 is waiting in Conn
	Array *ipc.Array[int64]
	Slab  *ipc.Slab[byte]
}

func (x things) check(ctx context.Context) error {
	if x.Mutex != nil {
		return errors.Join(x.Mutex.Lock(ctx), x.Mutex.Unlock())
	}
	if x.Conn != nil {
		v, err := x.Conn.Recv(ctx)
		if v != 42 {
			err = errors.Join(err, fmt.Errorf("received %d", v))
		}
		return err
	}
	if x.Array != nil {
		if n := x.Array.Len(); n != 100_000 || x.Array.Slice()[n-1] != 7 {
			return errors.New("not what it was")
		}
		return x.Array.Close()
	}
	if s := x.Slab.Slice(); len(s) != 1<<20 || s[1<<20-1] != 7 {
		return errors.New("not what it was")
	}

	return x.Slab.Close()
}

// collectGarbage returns once the cleanups of unreachable objects have run.
func collectGarbage() {
	done := make(chan struct{})
	func() {
		runtime.AddCleanup(new([64]byte), func(done chan struct{}) { close(done) }, done)
	}()
	for {
		runtime.GC()
		select {
		case <-done:
			return
		default:
			runtime.Gosched()
		}
	}
}

type making struct {
	Out  *ipc.Queue[things]
	What string
	Die  bool
}

var makeThing = mp.Register("makeThing", func(ctx context.Context, m making) (int, error) {
	var x things
	var err error
	switch m.What {
	case "mutex":
		x.Mutex, err = ipc.NewMutex()
	case "conn":
		var b *ipc.Conn[int]
		if x.Conn, b, err = ipc.NewPipe[int](); err == nil {
			err = b.Send(ctx, 42)
		}
	case "array":
		if x.Array, err = ipc.NewArray[int64](100_000); err == nil {
			x.Array.Slice()[99_999] = 7
		}
	case "slab":
		if x.Slab, err = ipc.NewSlab[byte](1 << 20); err == nil {
			x.Slab.Slice()[1<<20-1] = 7
		}
	}

	if err == nil {
		err = m.Out.Put(ctx, x)
	}
	if err == nil && m.Die {
		killSelf()
	}

	return 0, err
})

type handingOn struct{ From, To *ipc.Queue[things] }

var handOn = mp.Register("handOn", func(ctx context.Context, p handingOn) (x things, err error) {
	if x, err = p.From.Get(ctx); err != nil || p.To == nil {
		return x, err
	}
	if err = p.To.Put(ctx, x); err == nil {
		killSelf()
	}
	return x, err
})

// An object that a dead process has made lives on in a message, even if the processes that passed
// the object on no longer have it or are dead too.
func TestPassedOn(t *testing.T) {
	mptest.NoLeaks(t)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()

	ways := map[string]func(t *testing.T, from *ipc.Queue[things]) (things, error){
		"by the root": func(t *testing.T, from *ipc.Queue[things]) (things, error) {
			to := newQueue[things](t, 1)
			x := must(from.Get(ctx))
			if err := to.Put(ctx, x); err != nil {
				return things{}, err
			}
			if x.Array != nil { // not released by the collector, since slices of it could be in use
				_ = x.Array.Close()
			}
			x = things{}
			for range 3 { // so that unreachable objects are released
				collectGarbage()
			}
			return to.Get(ctx)
		},
		"by a worker": func(t *testing.T, from *ipc.Queue[things]) (things, error) {
			to := newQueue[things](t, 1)
			_, _ = alone(t, handOn, handingOn{from, to})
			return to.Get(ctx)
		},
		"as a result": func(t *testing.T, from *ipc.Queue[things]) (things, error) {
			return alone(t, handOn, handingOn{from, nil})
		},
	}
	for _, what := range []string{"mutex", "conn", "array", "slab"} {
		for how, pass := range ways {
			for _, die := range []bool{false, true} {
				t.Run(fmt.Sprint(what, " ", how, " die=", die), func(t *testing.T) {
					from := newQueue[things](t, 1)
					if _, err := alone(t, makeThing, making{from, what, die}); (err != nil) != die {
						t.Fatal(err)
					}
					x, err := pass(t, from)
					if err == nil {
						err = x.check(ctx)
					}
					if err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
}

type getting struct {
	From     *ipc.Queue[*ipc.Slab[byte]]
	Got, End *ipc.Event
}

var getAndReturn = mp.Register("getAndReturn", func(ctx context.Context, g getting) (*ipc.Slab[byte], error) {
	s, err := g.From.Get(ctx)
	return s, errors.Join(err, g.Got.Set(), g.End.Wait(ctx))
})

// A Slab in a result lives until the result is read, even if the queue from which the Slab came and
// the process that returned it have ended.
func TestResultOfWhatHasEnded(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := t.Context()
	for range 5 {
		from := must(ipc.NewQueue[*ipc.Slab[byte]](ipc.Capacity(1), ipc.Isolated()))
		_, _ = alone(t, makeSlabs, makingSlabs{from, 1, true})
		got, end := must(ipc.NewEvent()), must(ipc.NewEvent())
		p := must(mp.NewProcess(getAndReturn, getting{from, got, end}, mp.ProcessConfig{}))
		if err := errors.Join(p.Start(), got.Wait(ctx), from.Discard(), end.Set()); err != nil {
			t.Fatal(err)
		}

		s, err := p.Wait(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if b := s.Slice(); len(b) != 1<<20 || b[1<<20-1] != 0 {
			t.Error("not what it was")
		}
		_, _, _, _ = s.Close(), p.Close(), got.Close(), end.Close()
	}
}

type inboxes struct {
	Peer *ipc.Conn[*ipc.Queue[*ipc.Slab[byte]]]
	Die  bool
}

var swapInboxes = mp.Register("swapInboxes", func(ctx context.Context, in inboxes) (int, error) {
	mine, err := ipc.NewQueue[*ipc.Slab[byte]](ipc.Capacity(8))
	if err == nil {
		err = in.Peer.Send(ctx, mine)
	}
	if err != nil {
		return 0, err
	}

	theirs, err := in.Peer.Recv(ctx)
	if err != nil {
		return 0, err
	}

	s, err := ipc.NewSlab[byte](1 << 20)
	if err == nil {
		err = theirs.Put(ctx, s)
	}
	if err == nil {
		err = in.Peer.Send(ctx, mine) // tells the peer that its Slab is there
	}
	if err == nil {
		_, err = in.Peer.Recv(ctx)
	}
	if in.Die {
		killSelf()
	}
	return 0, err
})

// Objects that keep only each other alive are released.
func TestCirclesOfTheDead(t *testing.T) {
	mptest.NoLeaks(t)
	newQueue[int](t, 1)
	before := segmentFiles(t)
	for _, die := range []bool{false, true} {
		for range 3 {
			a, b := newPipe[*ipc.Queue[*ipc.Slab[byte]]](t)
			p := must(mp.NewProcess(swapInboxes, inboxes{a, die}, mp.ProcessConfig{}))
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			_, other := alone(t, swapInboxes, inboxes{b, die})
			if _, err := p.Wait(t.Context()); (err != nil) != die && !errors.Is(err, mp.ErrClosed) {
				t.Errorf("%v; the other: %v", err, other)
			}
			_ = p.Close()
		}
	}

	until(t, "nothing is left", func() bool { return segmentFiles(t) <= before })
}

var putWithoutEnd = mp.Register("putWithoutEnd", func(ctx context.Context, q *ipc.Queue[[]byte]) (n int, err error) {
	for err == nil {
		err = q.Put(ctx, bytes.Repeat([]byte{byte(n)}, 100_000))
	}
	return n, err
})

// If producers die while they put elements, the memory of those elements is given back.
func TestPuttersOfLargeElementsDie(t *testing.T) {
	mptest.NoLeaks(t)
	q := newQueue[[]byte](t, 1)
	before := segmentFiles(t)
	for range 5 {
		var all []*mp.Process[int]
		for range 4 {
			p := must(mp.NewProcess(putWithoutEnd, q, mp.ProcessConfig{}))
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			all = append(all, p)
		}

		for range 30 {
			if v, err := q.Get(t.Context()); err != nil || len(v) != 100_000 {
				t.Fatal(len(v), err)
			}
		}

		for _, p := range all {
			_ = p.Kill()
			_, _ = p.Wait(t.Context())
			_ = p.Close()
		}
		for {
			v, err := q.TryGet()
			if errors.Is(err, ipc.ErrEmpty) {
				break
			}
			var unfit *mp.CodecError // the producer died while it was putting the element
			if err != nil && !errors.As(err, &unfit) || err == nil && len(v) != 100_000 {
				t.Fatal(len(v), err)
			}
		}
	}

	until(t, "it is given back", func() bool { return segmentFiles(t) <= before })
}

type sendingSlabs struct {
	Queue *ipc.Queue[*ipc.Slab[byte]]
	End   *ipc.Conn[*ipc.Slab[byte]]
}

var sendSlabs = mp.Register("sendSlabs", func(ctx context.Context, to sendingSlabs) (int, error) {
	for i := range 9 {
		s, err := ipc.NewSlab[byte](1 << 20)
		if err == nil && i == 0 {
			err = to.Queue.Put(ctx, s)
		} else if err == nil {
			err = to.End.Send(ctx, s)
		}
		if err != nil {
			return i, err
		}
	}
	return 9, nil
})

// Objects of a dead process that were not received are released, even while another of its objects
// is in use.
func TestUnreceivedOfTheDead(t *testing.T) {
	mptest.NoLeaks(t)
	q := newQueue[*ipc.Slab[byte]](t, 1)
	before := segmentFiles(t)
	a, b, err := ipc.NewPipe[*ipc.Slab[byte]]()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alone(t, sendSlabs, sendingSlabs{q, b}); err != nil {
		t.Fatal(err)
	}
	s := must(q.Get(t.Context()))
	_ = a.Close()
	until(t, "only that is left", func() bool { return segmentFiles(t) <= before+2 })
	_ = s.Close()
	until(t, "nothing is left", func() bool { return segmentFiles(t) <= before })
}

type gettingSlabs struct {
	Queue *ipc.Queue[*ipc.Slab[byte]]
	N     int
}

var getSlabs = mp.Register("getSlabs", func(ctx context.Context, g gettingSlabs) (n int, err error) {
	for ; n < g.N && err == nil; n++ {
		var s *ipc.Slab[byte]
		if s, err = g.Queue.Get(ctx); err == nil {
			err = s.Close()
		}
	}
	return n, err
})

// The memory of Slabs in a queue is released after they have been used, not only when the queue
// ends, however many makers come and go, and whichever process receives the Slabs.
func TestSlabsOfDeadMakers(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := t.Context()
	const makers, each = 5, 3
	here := must(mp.NewInline(mp.InlineConfig{}))
	there := newPool(t, mp.PoolConfig{Workers: 1})
	if err := there.Ready(ctx); err != nil {
		t.Fatal(err)
	}

	for _, die := range []bool{false, true} {
		for name, getter := range map[string]mp.Executor{"here": here, "in a worker": there} {
			q := newQueue[*ipc.Slab[byte]](t, makers*each)
			// The getter attaches the queue before the descriptors are counted.
			if _, err := mp.Call(ctx, getter, getSlabs, gettingSlabs{q, 0}); err != nil {
				t.Fatal(err)
			}
			before := segmentFiles(t)
			for range makers {
				p := must(mp.NewProcess(makeSlabs, makingSlabs{q, each, die}, mp.ProcessConfig{}))
				if err := p.Start(); err != nil {
					t.Fatal(err)
				}
				if _, err := p.Wait(ctx); (err != nil) != die {
					t.Fatal(err)
				}
				_ = p.Close()
			}
			if n, err := mp.Call(ctx, getter, getSlabs, gettingSlabs{q, makers * each}); n != makers*each || err != nil {
				t.Fatal(n, err)
			}
			until(t, name+": only the queue is left", func() bool { return segmentFiles(t) <= before })
			_ = q.Discard()
		}
	}
}

// Discard releases the elements of a queue, even if this process has never received any.
func TestDiscardedOfTheDead(t *testing.T) {
	mptest.NoLeaks(t)
	newQueue[int](t, 1)
	before := segmentsOf(t)
	q := newQueue[*ipc.Slab[byte]](t, 3)
	if _, err := alone(t, makeSlabs, makingSlabs{q, 3, false}); err != nil {
		t.Fatal(err)
	}
	_ = q.Discard()
	until(t, "nothing of it is left", func() bool { return segmentsOf(t) <= before })
}
