//go:build linux

package ipc_test

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/mptest"
)

func newSlab[T any](t testing.TB, n int) *ipc.Slab[T] {
	t.Helper()
	s, err := ipc.NewSlab[T](n)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// double doubles each element in place and returns the Slab.
var double = mp.Register("double", func(_ context.Context, s *ipc.Slab[float64]) (*ipc.Slab[float64], error) {
	for i := range s.Slice() {
		s.Slice()[i] *= 2
	}
	return s, nil
})

// segmentsOf returns the number of blocks of Slabs that this process has mapped.
func segmentsOf(t testing.TB) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(b), "memfd:mp-data")
}

// A Slab moves to a worker and back, in an argument, a result, a queue and a pipe, and stays the
// same memory.
func TestSlabTravels(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := t.Context()
	for name, ex := range map[string]mp.Executor{"pool": newPool(t, mp.PoolConfig{Workers: 1}), "inline": must(mp.NewInline(mp.InlineConfig{}))} {
		q := newQueue[*ipc.Slab[float64]](t, 3)
		a, b := newPipe[map[string]*ipc.Slab[float64]](t)
		before := segmentsOf(t)
		for i := range 50 {
			s := newSlab[float64](t, 100_000)
			clear(s.Slice())
			s.Slice()[99_999] = float64(i)
			first := &s.Slice()[0]
			back, err := mp.Call(ctx, ex, double, s)
			if err != nil {
				t.Fatal(name, err)
			}
			if s.Slice() != nil || s.Len() != 100_000 {
				t.Error("it is still here")
			}
			if err := q.Put(ctx, back); err != nil {
				t.Fatal(err)
			}
			if err := q.Put(ctx, back); err == nil {
				t.Error("put twice")
			}
			got := must(q.Get(ctx))
			if err := a.Send(ctx, map[string]*ipc.Slab[float64]{"x": got}); err != nil {
				t.Fatal(err)
			}
			last := must(b.Recv(ctx))["x"]
			if v := last.Slice()[99_999]; v != 2*float64(i) || &last.Slice()[0] != first {
				t.Fatal(v, "or other memory")
			}
			for _, s := range []*ipc.Slab[float64]{s, back, got, last, last} {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
			if last.Slice() != nil {
				t.Error("it is closed")
			}
		}

		if n := segmentsOf(t); n > before+1 {
			t.Errorf("%d segments for one slab at a time", n-before)
		}
		_, _, _ = q.Discard(), a.Close(), b.Close()
	}
}

type makingSlabs struct {
	Queue *ipc.Queue[*ipc.Slab[byte]]
	N     int
	Die   bool
}

var makeSlabs = mp.Register("makeSlabs", func(ctx context.Context, m makingSlabs) (int, error) {
	for i := range m.N {
		s, err := ipc.NewSlab[byte](1 << 20)
		if err != nil {
			return i, err
		}
		s.Slice()[0], s.Slice()[1<<20-1] = byte(i), byte(i)
		if err := m.Queue.Put(ctx, s); err != nil {
			return i, errors.Join(err, s.Close())
		}
	}
	if m.Die {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return m.N, nil
})

// A flow of Slabs in one direction reuses a few blocks. Slabs still arrive if their maker has died,
// and the last holder releases them.
func TestSlabFlow(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := t.Context()
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	q := newQueue[*ipc.Slab[byte]](t, 4)
	for _, die := range []bool{false, true} {
		n := 200
		if die {
			n = 3
		}

		task := mp.Submit(ctx, pool, makeSlabs, makingSlabs{q, n, die})
		addresses := map[*byte]bool{}
		if die {
			_, _ = task.Result(ctx)
		}
		for i := range n {
			s, err := q.Get(ctx)
			if err != nil {
				t.Fatal(err)
			}
			b := s.Slice()
			addresses[&b[0]] = true
			if b[0] != byte(i) || b[1<<20-1] != byte(i) {
				t.Fatal(i, b[0])
			}
			_ = s.Close()
		}

		if len(addresses) > 8 {
			t.Errorf("%d slabs where at most six are on their way", len(addresses))
		}
		if _, err := task.Result(ctx); (err != nil) != die {
			t.Error(err)
		}
	}

	_ = q.Discard()
}

var keepSlab = mp.Register("keepSlab", func(ctx context.Context, s *ipc.Slab[byte]) (int, error) {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
})

// The memory of a Slab is reused after its holder has died, or if the Slab did not arrive.
func TestSlabHolderDies(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := t.Context()
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	for range 5 {
		var died *mp.WorkerError
		if _, err := mp.Call(ctx, pool, keepSlab, newSlab[byte](t, 3<<20), mp.Retries(3)); !errors.As(err, &died) {
			t.Error(err)
		}
	}

	q := newQueue[any](t, 1)
	for range 5 {
		if err := q.Put(ctx, newSlab[byte](t, 3<<20)); err != nil {
			t.Fatal(err)
		}
		stays := newSlab[byte](t, 3<<20)
		if err := q.TryPut(stays); !errors.Is(err, ipc.ErrFull) || stays.Slice() == nil {
			t.Error(err)
		}
		_ = stays.Close()
		_ = q.Discard()
		q = newQueue[any](t, 1)
	}

	until(t, "they are free", func() bool {
		s := newSlab[byte](t, 3<<20)
		defer s.Close()
		return segmentsOf(t) <= 2
	})
}

type patient struct {
	Queue *ipc.Queue[*ipc.Slab[byte]]
	Slab  *ipc.Slab[byte]
}

var putInVain = mp.Register("putInVain", func(ctx context.Context, p patient) (byte, error) {
	short, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := p.Queue.Put(short, p.Slab); !errors.Is(err, context.DeadlineExceeded) {
		return 0, err
	}
	defer p.Slab.Close()
	if p.Slab.Slice() == nil {
		return 0, errors.New("it did not come back")
	}
	return p.Slab.Slice()[0], nil
})

// If Put fails, a Slab that came from another process stays with the caller, even if the Put takes
// longer than unused memory is kept.
func TestSlabComesBackLate(t *testing.T) {
	mptest.NoLeaks(t)
	q := newQueue[*ipc.Slab[byte]](t, 1)
	if err := q.Put(t.Context(), newSlab[byte](t, 1)); err != nil {
		t.Fatal(err)
	}
	s := newSlab[byte](t, 1)
	s.Slice()[0] = 7
	if v, err := mp.Call(t.Context(), newPool(t, mp.PoolConfig{Workers: 1}), putInVain, patient{q, s}); v != 7 || err != nil {
		t.Error(v, err)
	}
	_ = q.Discard()
}

// A Slab in a message that is not received is released, however the pipe is closed.
func TestSlabUnreceived(t *testing.T) {
	ctx := t.Context()
	full, waits := newQueue[any](t, 1), newQueue[any](t, 1)
	if err := full.Put(ctx, 1); err != nil {
		t.Fatal(err)
	}

	for name, end := range map[string]func(t *testing.T, a *ipc.Conn[any]){
		"closed": func(_ *testing.T, a *ipc.Conn[any]) { _ = a.Close() },
		"received as what it is not": func(t *testing.T, a *ipc.Conn[any]) {
			var unfit *mp.CodecError
			if _, err := a.RecvBytes(ctx); !errors.As(err, &unfit) {
				t.Error(err)
			}
			_ = a.Close()
		},
		"discarded with a queue": func(t *testing.T, a *ipc.Conn[any]) {
			if err := waits.Put(ctx, a); err != nil {
				t.Error(err)
			}
			_ = waits.Discard()
		},
		"closed before it came back": func(t *testing.T, a *ipc.Conn[any]) {
			short, cancel := context.WithCancel(ctx)
			go func() {
				for { // until Put has taken it
					if _, err := a.Poll(ctx, 0); errors.Is(err, ipc.ErrMoved) {
						break
					}
				}
				_ = a.Close()
				cancel()
			}()
			var inUse *mp.CodecError
			var err error
			for err = full.Put(short, a); errors.As(err, &inUse); err = full.Put(short, a) {
			}
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			mptest.NoLeaks(t)
			a, b := newPipe[any](t)
			if err := b.Send(ctx, newSlab[byte](t, 3<<20)); err != nil {
				t.Fatal(err)
			}
			end(t, a)
			_ = b.Close()
		})
	}

	_ = full.Discard()
}

// A message that RecvBytes could not return stays in the connection. It is released when the
// connection is no longer reachable.
func TestSlabInForgottenConn(t *testing.T) {
	mptest.NoLeaks(t)
	before := segmentsOf(t)
	func() {
		a, b, err := ipc.NewPipe[any]()
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if err := b.Send(t.Context(), newSlab[byte](t, 3<<20)); err != nil {
			t.Fatal(err)
		}
		var unfit *mp.CodecError
		if _, err := a.RecvBytes(t.Context()); !errors.As(err, &unfit) {
			t.Fatal(err)
		}
	}()

	until(t, "its memory is gone", func() bool {
		runtime.GC()
		return segmentsOf(t) <= before
	})
}

// unreadable can be encoded but not decoded.
type unreadable struct{}

func (unreadable) MarshalBinary() ([]byte, error) { return nil, nil }

func (*unreadable) UnmarshalBinary([]byte) error { return errors.ErrUnsupported }

type besideSlab struct {
	Slab *ipc.Slab[byte]
	Bad  unreadable
}

// A Slab is released if the rest of its message cannot be decoded.
func TestSlabUndecodable(t *testing.T) {
	mptest.NoLeaks(t)
	q := newQueue[besideSlab](t, 1)
	if err := q.Put(t.Context(), besideSlab{Slab: newSlab[byte](t, 1)}); err != nil {
		t.Fatal(err)
	}
	var bad *mp.CodecError
	if v, err := q.Get(t.Context()); !errors.As(err, &bad) || v.Slab != nil {
		t.Error(v, err)
	}
	_ = q.Discard()
}

// besideMovers has Slabs and ends of pipes before and after a field that cannot be decoded.
type besideMovers struct {
	First *ipc.Slab[byte]
	Conn  *ipc.Conn[int]
	Bad   unreadable
	Last  *ipc.Slab[byte]
	Far   *ipc.Conn[int]
}

var takeUndecodable = mp.Register("takeUndecodable", func(context.Context, besideMovers) (int, error) { return 0, nil })

var returnUndecodable = mp.Register("returnUndecodable", func(_ context.Context, c []*ipc.Conn[int]) (v besideMovers, err error) {
	v.Conn, v.Far = c[0], c[1]
	if v.First, err = ipc.NewSlab[byte](3 << 20); err == nil {
		v.Last, err = ipc.NewSlab[byte](3 << 20)
	}
	return v, err
})

var countSegments = mp.Register("countSegments", func(context.Context, int) (int, error) {
	b, err := os.ReadFile("/proc/self/maps")
	return strings.Count(string(b), "memfd:mp-data"), err
})

// If an argument or a result cannot be decoded, the Slabs and the ends of pipes in it are released
// at once, whether or not they were decoded before the error.
func TestUndecodableTask(t *testing.T) {
	mptest.NoLeaks(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()

	earlier := segmentsOf(t)
	for name, ex := range map[string]mp.Executor{"pool": newPool(t, mp.PoolConfig{Workers: 1}), "inline": must(mp.NewInline(mp.InlineConfig{}))} {
		// If tasks run in this process, earlier tests may have left segments.
		before := must(mp.Call(ctx, ex, countSegments, 0))
		for what, call := range map[string]func(a, b *ipc.Conn[int]) error{
			"argument": func(a, b *ipc.Conn[int]) error {
				return errOf(mp.Call(ctx, ex, takeUndecodable, besideMovers{First: newSlab[byte](t, 3<<20), Conn: a, Last: newSlab[byte](t, 3<<20), Far: b}))
			},
			"result": func(a, b *ipc.Conn[int]) error {
				return errOf(mp.Call(ctx, ex, returnUndecodable, []*ipc.Conn[int]{a, b}))
			},
		} {
			for range 5 {
				ours, a := newPipe[int](t)
				ours2, b := newPipe[int](t)
				var bad *mp.CodecError
				if err := call(a, b); !errors.As(err, &bad) {
					t.Fatal(name, what, err)
				}
				for _, c := range []*ipc.Conn[int]{ours, ours2} {
					if _, err := c.Recv(ctx); !errors.Is(err, io.EOF) {
						t.Error(name, what, err)
					}
					_ = c.Close()
				}
			}
			// The caller and the worker have two Slabs each.
			if n := must(mp.Call(ctx, ex, countSegments, 0)); n > before+2+2 {
				t.Errorf("%s, %s: %d slabs for two at a time", name, what, n-before)
			}
		}
	}

	until(t, "all slabs are given back", func() bool { return segmentsOf(t) <= earlier })
}

// A Slab can be empty, or be truncated, and arrives with its current length.
func TestSlabTruncate(t *testing.T) {
	mptest.NoLeaks(t)
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	for _, n := range []int{0, 1, 7} {
		s := newSlab[float64](t, 7)
		for i := range s.Slice() {
			s.Slice()[i] = float64(i)
		}
		if err := s.Truncate(n); err != nil || s.Len() != n || len(s.Slice()) != n {
			t.Error(n, s.Len(), err)
		}
		if s.Truncate(n+1) == nil || s.Truncate(-1) == nil {
			t.Error("made longer than it was")
		}
		got, err := mp.Call(t.Context(), pool, double, s)
		if err != nil || got.Len() != n || n > 0 && got.Slice()[n-1] != 2*float64(n-1) {
			t.Fatal(n, err)
		}
		if err := s.Truncate(0); !errors.Is(err, ipc.ErrMoved) {
			t.Error(err)
		}
		_ = got.Close()
		if err := got.Truncate(0); !errors.Is(err, mp.ErrClosed) {
			t.Error(err)
		}
	}

	empty := newSlab[int](t, 0)
	if empty.Len() != 0 || empty.Slice() == nil {
		t.Error(empty.Len(), empty.Slice() == nil)
	}

	_ = empty.Close()
}

// Bad types, bad lengths and uses of closed Slabs are errors.
func TestUnusableSlab(t *testing.T) {
	for what, err := range map[string]error{
		"less":  errOf(ipc.NewSlab[int](-1)),
		"huge":  errOf(ipc.NewSlab[int](1 << 60)),
		"types": errOf(ipc.NewSlab[string](1)),
	} {
		if err == nil {
			t.Error(what)
		}
	}

	s := newSlab[int](t, 1)
	if _, err := s.MarshalBinary(); err == nil {
		t.Error("encoded outside of a message")
	}
	_ = s.Close()
	q := newQueue[*ipc.Slab[int]](t, 1)
	if err := q.Put(t.Context(), s); err == nil {
		t.Error("closed, and put")
	}
	if err := q.Put(t.Context(), &ipc.Slab[int]{}); err == nil {
		t.Error("never made, and put")
	}
}
