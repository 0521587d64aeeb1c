package ipc

import (
	"bytes"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// SharedMemory is a piece of memory that several processes see. It can be sent like a [Mutex], at a
// cost that does not depend on its size. It can also have a name by which unrelated programs find
// it: Python programs with SharedMemory, C programs with shm_open. For typed elements, use an
// [Array].
type SharedMemory struct {
	object[SharedMemory, sharedMemory, *sharedMemory]
}

type sharedMemory struct {
	handle
	name   string
	id     shm.ID    // of what has the name
	remove sync.Once // the name; done at once where it is not ours
	data   []byte
}

// memoryMark tells the handle of a SharedMemory from the handle of an Array.
var memoryMark = []byte("mp-bytes")

func (*sharedMemory) kind() xsync.Kind { return xsync.KindData }

func (*sharedMemory) encode(b []byte) ([]byte, error) { return append(b, memoryMark...), nil }

func (s *sharedMemory) open(o *objects.Object, rest []byte) error {
	if !bytes.Equal(rest, memoryMark) || o.Small() {
		return errors.New("mp: no handle of a SharedMemory")
	}
	s.data = o.Data()
	return nil
}

func (*sharedMemory) end(bool) {}

// A SharedMemoryOption configures a [SharedMemory]: it is [Named]. A nil SharedMemoryOption changes
// nothing.
type SharedMemoryOption interface{ applySharedMemory(*sharedMemoryOptions) }

type sharedMemoryOptions struct{ name string }

type sharedMemoryOption func(*sharedMemoryOptions)

func (o sharedMemoryOption) applySharedMemory(to *sharedMemoryOptions) { o(to) }

// Named gives the memory a name by which other programs of this user can open it. The name is a
// file name of up to 200 bytes. If the name is empty, the memory has no name, which is the default:
// only processes that receive the handle can access the memory.
func Named(name string) SharedMemoryOption {
	return sharedMemoryOption(func(o *sharedMemoryOptions) { o.name = name })
}

// NewSharedMemory makes size bytes of zeros, which live until [SharedMemory.Close]. It costs some
// ten microseconds. The system provides the memory as it is used, or at once if it has a name. If
// the name is in use, the error is [io/fs.ErrExist]. A size below 1 is an error too.
//
// A name outlives a program that is killed, since other programs may be using it. Remove it with
// [RemoveSharedMemory].
func NewSharedMemory(size int, opts ...SharedMemoryOption) (*SharedMemory, error) {
	if size < 1 || size > maxBytes {
		return nil, fmt.Errorf("mp: NewSharedMemory: %d bytes: give at least one, and at most 2^46", size)
	}
	var how sharedMemoryOptions
	for _, opt := range opts {
		if opt != nil {
			opt.applySharedMemory(&how)
		}
	}

	if how.name == "" {
		o, err := objects.New(xsync.KindData, size, true)
		if err != nil {
			return nil, err
		}
		return publish[SharedMemory](o, &sharedMemory{data: o.Data()}), nil
	}
	fd, mem, err := shm.Create(how.name, size)
	if err != nil {
		return nil, fmt.Errorf("mp: NewSharedMemory: %w", err)
	}
	s, err := wrapSharedMemory(fd, mem, how.name)
	if err != nil {
		_ = shm.Remove(how.name)
	}
	return s, err
}

// OpenSharedMemory opens memory that this or another program has made with a name. If there is no
// such name, the error is [io/fs.ErrNotExist]. Close releases the memory in this process and leaves
// the name and the memory to other processes.
//
// Another program can make the memory smaller. After that, accesses beyond the new end fail: in
// [SharedMemory.View] with an error, elsewhere with a fault that ends the process.
func OpenSharedMemory(name string) (*SharedMemory, error) {
	fd, mem, err := shm.Open(name)
	if err != nil {
		return nil, fmt.Errorf("mp: OpenSharedMemory: %w", err)
	}
	s, err := wrapSharedMemory(fd, mem, name)
	if err == nil {
		s.in.remove.Do(func() {}) // another process made it
	}
	return s, err
}

// RemoveSharedMemory removes a name that a program has left behind. If there is no such name, the
// error is [io/fs.ErrNotExist]. Processes that have the memory keep it.
func RemoveSharedMemory(name string) error {
	if err := shm.Remove(name); err != nil {
		return fmt.Errorf("mp: RemoveSharedMemory: %w", err)
	}
	return nil
}

func wrapSharedMemory(fd int, mem []byte, name string) (*SharedMemory, error) {
	id, err := shm.IDOf(fd)
	var o *objects.Object
	if err == nil {
		o, err = objects.Wrap(fd, mem)
	}
	if err != nil {
		shm.CloseFD(fd)
		_ = shm.Unmap(mem)
		return nil, err
	}
	return wrap[SharedMemory](o, &sharedMemory{name: name, id: id, data: o.Data()}), nil
}

// Name returns the name. It is empty if the memory has none, or if this process received the handle
// from another process.
func (s *SharedMemory) Name() string {
	if s.in == nil {
		return ""
	}
	return s.in.name
}

// Size returns the number of bytes, even after Close.
func (s *SharedMemory) Size() int {
	if s.in == nil {
		return 0
	}
	return len(s.in.data)
}

// Bytes returns the memory itself, or nil if it is closed. The slice remains valid as long as a
// slice from [Array.Slice] would.
func (s *SharedMemory) Bytes() []byte {
	if s.in == nil || s.in.obj.Gone() {
		return nil
	}
	s.in.obj.Expose()
	return s.in.data
}

// View calls f with the memory, which stays mapped until f returns, even if s is closed meanwhile.
// View returns f's error or [ErrClosed]. It also returns an error if f accesses a part that is gone
// because another program has made the memory smaller.
func (s *SharedMemory) View(f func([]byte) error) (err error) {
	if s.in == nil {
		return errNotMade
	}
	if err := s.in.obj.Pin(); err != nil {
		return err
	}
	defer s.in.obj.Unpin()

	if !s.in.obj.Shrinkable() {
		return f(s.in.data)
	}

	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			if fault, ok := r.(interface{ Addr() uintptr }); !ok || !within(s.in.data, fault.Addr()) {
				panic(r)
			}
			err = fmt.Errorf("mp: the shared memory %q was made smaller by another program", s.in.name)
		}
	}()
	return f(s.in.data)
}

func within(mem []byte, addr uintptr) bool {
	first := shm.Address(mem)
	return addr >= first && addr < first+uintptr(len(mem))
}

// Close closes the memory. In the process that made it, or received it as the result of a task,
// Close ends the memory for all processes that have its handle, and removes its name. In other
// processes, Close closes the memory only there. Closing twice is fine.
//
// If the name has been removed, or names other memory by now, Close leaves the name alone and
// returns nil. If the system fails to remove the name, Close returns an error, but the memory is
// closed nevertheless.
func (s *SharedMemory) Close() error {
	if s.in == nil {
		return errNotMade
	}
	var err error
	s.in.remove.Do(func() { // first: the id of memory that is gone may be given to other memory
		if s.in.name != "" {
			err = shm.RemoveOwn(s.in.name, s.in.id)
		}
	})
	s.in.close(s.in.end)
	if err != nil {
		return fmt.Errorf("mp: SharedMemory.Close: %w", err)
	}
	return nil
}
