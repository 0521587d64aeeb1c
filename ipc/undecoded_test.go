//go:build linux

package ipc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/mptest"
)

// These tests check that a value that cannot be decoded leaves nothing behind: the objects and
// files in the value are released.

// undecodable fails to decode if N is 1, and panics if N is 2.
type undecodable struct{ N byte }

func (u undecodable) MarshalBinary() ([]byte, error) { return []byte{u.N}, nil }

func (u *undecodable) UnmarshalBinary(b []byte) error {
	u.N = b[0]
	switch u.N {
	case 1:
		return errors.New("not today")
	case 2:
		panic("not today")
	}
	return nil
}

// luggage has every kind of field that a value can bring along, between two fields that can fail to
// decode.
type luggage struct {
	Before undecodable
	Array  *ipc.Array[int64] // large enough for a segment of its own
	Small  *ipc.Array[int64]
	Memory *ipc.SharedMemory
	Mutex  *ipc.Mutex
	Queue  *ipc.Queue[int]
	Conn   *ipc.Conn[int]
	Slab   *ipc.Slab[int64]
	File   *os.File
	Any    any
	Behind undecodable
}

type packing struct {
	Before, Behind byte
	Files          bool
}

func packUp(p packing) (l luggage, err error) {
	var errs [9]error
	l.Before.N, l.Behind.N = p.Before, p.Behind
	l.Array, errs[0] = ipc.NewArray[int64](100_000)
	l.Small, errs[1] = ipc.NewArray[int64](10)
	l.Memory, errs[2] = ipc.NewSharedMemory(100_000)
	l.Mutex, errs[3] = ipc.NewMutex()
	l.Queue, errs[4] = ipc.NewQueue[int](ipc.Capacity(4))
	l.Slab, errs[5] = ipc.NewSlab[int64](10)
	l.Any, errs[6] = ipc.NewArray[int](100_000)
	if p.Files {
		l.File, errs[7] = os.Open(os.DevNull)
	}

	var far *ipc.Conn[int]
	if far, l.Conn, errs[8] = ipc.NewPipe[int](); errs[8] == nil {
		_ = far.Close()
	}
	return l, errors.Join(errs[:]...)
}

// unpack closes everything that packUp has made.
func (l luggage) unpack() {
	_, _, _, _ = l.Array.Close(), l.Small.Close(), l.Memory.Close(), l.Mutex.Close()
	_, _, _, _ = l.Queue.Discard(), l.Conn.Close(), l.Slab.Close(), l.Any.(io.Closer).Close()
	if l.File != nil {
		_ = l.File.Close()
	}
}

// inventory counts a process's mapped segments that hold one object, its descriptors of these
// segments, and its open files. It leaves out arenas, since those also hold objects of other tests.
type inventory struct{ Maps, Files int }

func takeInventory() (i inventory) {
	collectGarbage()
	maps, _ := os.ReadFile("/proc/self/maps")
	i.Maps = strings.Count(string(maps), "/memfd:mp-data")
	files, _ := os.ReadDir("/proc/self/fd")
	for _, f := range files {
		if to, _ := os.Readlink("/proc/self/fd/" + f.Name()); strings.HasPrefix(to, "/memfd:mp-data") || to == os.DevNull {
			i.Files++
		}
	}
	return i
}

func (i inventory) within(before inventory) bool {
	return i.Maps <= before.Maps && i.Files <= before.Files
}

var (
	packIt    = mp.Register("packIt", func(_ context.Context, p packing) (luggage, error) { return packUp(p) })
	takeIt    = mp.Register("takeIt", func(_ context.Context, l luggage) (int, error) { return 0, nil })
	inventIt  = mp.Register("inventIt", func(context.Context, int) (inventory, error) { return takeInventory(), nil })
	putPacked = mp.Register("putPacked", func(ctx context.Context, q *ipc.Queue[luggage]) (int, error) {
		l, err := packUp(packing{Behind: 1, Files: true})
		if err == nil {
			err = q.Put(ctx, l)
		}
		return 0, err
	})
)

func isUndecodable(err error) bool {
	var bad *mp.CodecError
	return errors.As(err, &bad) && bad.Doing == "decoded"
}

// If a result cannot be decoded, neither the caller nor the worker keeps any part of it, whether or
// not that part was decoded before the error.
func TestResultUndecoded(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	for _, p := range []packing{{Before: 1, Files: true}, {Behind: 1, Files: true}, {Before: 2, Files: true}, {Behind: 2}} {
		t.Run(fmt.Sprintf("%+v", p), func(t *testing.T) {
			try := func() {
				if l, err := mp.Call(t.Context(), pool, packIt, p); !isUndecodable(err) || l != (luggage{}) {
					t.Fatal(l, err)
				}
			}
			try() // creates what later calls reuse
			here, there := inventory{}, inventory{}
			until(t, "the worker rests", func() bool {
				last := there
				here, there = takeInventory(), must(mp.Call(t.Context(), pool, inventIt, 0))
				return there == last
			})
			for range 10 {
				try()
			}
			until(t, "this process has nothing of it", func() bool { return takeInventory().within(here) })
			until(t, "the worker has nothing of it", func() bool {
				return must(mp.Call(t.Context(), pool, inventIt, 0)).within(there)
			})
		})
	}
}

// A worker keeps no part of an argument that it cannot decode. The sender keeps the objects in the
// argument.
func TestArgumentUndecoded(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	try := func() {
		l := must(packUp(packing{Behind: 1, Files: true}))
		defer l.unpack()
		if _, err := mp.Call(t.Context(), pool, takeIt, l); !isUndecodable(err) {
			t.Fatal(err)
		}
		if len(l.Array.Slice()) == 0 || l.Mutex.Lock(t.Context()) != nil {
			t.Error("the sender has nothing of it")
		}
	}

	try()
	there := must(mp.Call(t.Context(), pool, inventIt, 0))
	held := make([]luggage, 10) // not closed yet, since Close would release them in the worker, too
	for i := range held {
		held[i] = must(packUp(packing{Behind: 1, Files: true}))
		if _, err := mp.Call(t.Context(), pool, takeIt, held[i]); !isUndecodable(err) {
			t.Fatal(err)
		}
	}

	until(t, "the worker has nothing of it", func() bool {
		return must(mp.Call(t.Context(), pool, inventIt, 0)).Maps <= there.Maps
	})
	for _, l := range held {
		l.unpack()
	}
}

// A receiver keeps no part of a message that it cannot decode. Objects that moved with the message
// are closed.
func TestMessageUndecoded(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	q := newQueue[luggage](t, 4)
	try := func() {
		if _, err := mp.Call(t.Context(), pool, putPacked, q); err != nil {
			t.Fatal(err)
		}
		if l, err := q.Get(t.Context()); !isUndecodable(err) || l != (luggage{}) {
			t.Fatal(l, err)
		}
	}
	try()
	before := takeInventory()
	for range 10 {
		try()
	}

	until(t, "this process has no memory of it", func() bool { return takeInventory().Maps <= before.Maps })
}

// If an error cannot be rebuilt, the objects in it are released.
func TestErrorUnbuilt(t *testing.T) {
	mptest.NoLeaks(t)
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	try := func() {
		if _, err := mp.Call(t.Context(), pool, failHeavily, 0); err == nil || !strings.Contains(err.Error(), "heavy") {
			t.Fatal(err)
		}
	}
	try()
	before := takeInventory()
	for range 10 {
		try()
	}
	until(t, "this process has nothing of it", func() bool { return takeInventory().Maps <= before.Maps })
}

// heavy is an error that holds an object, and that cannot be rebuilt.
type heavy struct {
	Array *ipc.Array[int64]
	err   error
}

func (h *heavy) Error() string { return "heavy" }
func (h *heavy) Unwrap() error { return h.err }

func init() {
	mp.RegisterErrorWrapper(
		func(h *heavy) *ipc.Array[int64] { return h.Array },
		func(*ipc.Array[int64], error) *heavy { panic("too heavy") })
}

var heavies []*heavy

var failHeavily = mp.Register("failHeavily", func(context.Context, int) (int, error) {
	a, err := ipc.NewArray[int64](100_000)
	if err != nil {
		return 0, err
	}
	h := &heavy{a, io.EOF}
	heavies = append(heavies, h) // keeps the arrays reachable
	return 0, h
})

// halfPipe and halfEvent cannot be decoded if Before.N is 1. The worker keeps the other end of
// Conn, and keeps Event.
type halfPipe struct {
	Before undecodable
	Conn   *ipc.Conn[int]
}

type halfEvent struct {
	Before undecodable
	Event  *ipc.Event
}

var (
	farEnd   *ipc.Conn[int]
	farEvent *ipc.Event

	packHalfPipe = mp.Register("packHalfPipe", func(context.Context, int) (h halfPipe, err error) {
		farEnd, h.Conn, err = ipc.NewPipe[int]()
		h.Before.N = 1
		return h, err
	})
	recvFar = mp.Register("recvFar", func(ctx context.Context, _ int) (bool, error) {
		_, err := farEnd.Recv(ctx)
		return errors.Is(err, io.EOF), nil
	})
	packHalfEvent = mp.Register("packHalfEvent", func(context.Context, int) (h halfEvent, err error) {
		farEvent, err = ipc.NewEvent()
		h.Event, h.Before.N = farEvent, 1
		return h, err
	})
	waitFar = mp.Register("waitFar", func(ctx context.Context, _ int) (bool, error) {
		return errors.Is(farEvent.Wait(ctx), ipc.ErrClosed), nil
	})
)

// If a result cannot be decoded, the worker sees that the end and the object in it are closed.
func TestResultUndecodedEndsWhatItGave(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), never)
	defer cancel()
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	if _, err := mp.Call(ctx, pool, packHalfPipe, 0); !isUndecodable(err) {
		t.Fatal(err)
	}
	if ended, err := mp.Call(ctx, pool, recvFar, 0); !ended || err != nil {
		t.Error("the far end does not see it: ", err)
	}
	if _, err := mp.Call(ctx, pool, packHalfEvent, 0); !isUndecodable(err) {
		t.Fatal(err)
	}
	if closed, err := mp.Call(ctx, pool, waitFar, 0); !closed || err != nil {
		t.Error("the event is not closed: ", err)
	}
}
