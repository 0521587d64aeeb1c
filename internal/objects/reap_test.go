//go:build linux

package objects

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/park"
	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// alignedArena returns memory for an arena of this test alone.
func alignedArena(t *testing.T) []byte {
	t.Helper()
	fd, mem, err := shm.New("mp-test", arenaSize)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = shm.Unmap(mem); shm.CloseFD(fd) })
	return mem
}

// The kind byte of a small object may claim that it is a large one. In that case, Reap does not
// touch the memory after the object, whatever the slot of the dead process. An object that has
// enough room is cleaned up.
func TestReapStaysInItsObject(t *testing.T) {
	for _, kind := range []xsync.Kind{xsync.KindCond, xsync.KindBarrier, xsync.KindBounded, xsync.KindRWMutex, xsync.KindRing, xsync.KindPipe, xsync.KindOwnership} {
		for _, slot := range []int{1, 8, 10, 63, 65, park.MaxProcs - 1} {
			mem := alignedArena(t)
			at := firstLineOf(len(mem))
			mem[at] = byte(kind)
			next := at + 1
			for i := next; i < len(mem)/line; i++ {
				mem[i] = byte(xsync.KindData)
			}

			for i := next * line; i < len(mem); i++ {
				mem[i] = 0xff
			}
			before := bytes.Clone(mem[next*line:])
			reapArena(mem, slot)
			if !bytes.Equal(before, mem[next*line:]) {
				t.Errorf("%v, slot %d: the memory behind the object was changed", kind, slot)
			}
		}
	}

	mem := alignedArena(t)
	at := firstLineOf(len(mem))
	mem[at] = byte(xsync.KindCond)
	mem[at+xsync.Large/line] = byte(xsync.KindData) // behind it
	word := shm.Word64(mem, at*line+xsync.Small+8*10)
	word.Store(1)
	if reapArena(mem, 10); word.Load() != 0 {
		t.Error("an object with room for its kind was not buried")
	}
}

// A message whose ref claims an allowed size may lie in a file without content. Such a message is
// rejected before memory is allocated for it. The same goes for a message of which only the
// beginning exists.
func TestSparseMessage(t *testing.T) {
	leavesNothing(t)
	const size, most = 8 << 20, 16 << 20
	o := newObject(t, xsync.KindMutex, xsync.Small, false)
	defer o.Close()

	for name, content := range map[string][]byte{"nothing": nil, "a page": make([]byte, 4096)} {
		ref, err := o.Spill(make([]byte, size))
		if err != nil {
			t.Fatal(err)
		}

		fd, err := unix.MemfdCreate("mp-test", unix.MFD_CLOEXEC)
		if err == nil {
			_, err = unix.Write(fd, content)
		}
		if err == nil {
			err = unix.Ftruncate(fd, size)
		}
		if err != nil {
			t.Fatal(err)
		}
		replace(t, o, ref, fd, size)
		b, err := o.Unspill(ref, nil, most, func() error { return nil })
		if !errors.Is(err, io.ErrUnexpectedEOF) || cap(b) > 0 {
			t.Errorf("%s: %v, with memory for %d bytes", name, err, cap(b))
		}
	}

	ref, err := o.Spill(make([]byte, size))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := o.Unspill(ref, nil, most, func() error { return nil }); len(b) != size || err != nil {
		t.Errorf("an honest one: %d bytes, %v", len(b), err)
	}
}

// replace makes a place refer to a segment of the test with the given size.
func replace(t *testing.T, o *Object, ref []byte, fd, size int) {
	t.Helper()
	o.DropSpilled(ref)
	here.mu.Lock()
	id := here.newID()
	err := here.dir.Publish(id, fd, size, false)
	here.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}

	for i := range 8 {
		ref[i] = byte(id >> (8 * i))
	}
	t.Cleanup(func() {
		here.mu.Lock()
		defer here.mu.Unlock()

		if here.dir != nil {
			here.dir.Destroy(id)
			here.end()
		}
	})
}

// A process can die at any instruction while it ends an ownerless object. The arena is nevertheless
// released with its last object, and not earlier.
func TestDeathWhileAnObjectEnds(t *testing.T) {
	leavesNothing(t)
	first, second := newObject(t, xsync.KindPipe, xsync.PipeHead, false), newObject(t, xsync.KindPipe, xsync.PipeHead, false)
	if first.seg != second.seg { // the first one was the last in its arena
		first.Close()
		first, second = second, newObject(t, xsync.KindPipe, xsync.PipeHead, false)
	}

	arena := second.seg
	isThere := func() bool {
		here.mu.Lock()
		defer here.mu.Unlock()
		return here.segments[arena.id] == arena
	}

	for _, o := range []*Object{first, second} {
		o.Leave()
		o.Close()
	}
	settles(t, "no new objects come", func() bool {
		here.mu.Lock()
		defer here.mu.Unlock()
		return here.current != arena
	})

	arena.mem[first.off/line] = byte(xsync.KindNone) // the last step of a process that ended the object
	here.lost(0)
	if !isThere() {
		t.Fatal("the arena went with an object in it")
	}
	second.End()
	here.lost(0)
	if isThere() {
		t.Error("the arena stays")
	}
}
