package shm

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// A Range is a set of address ranges of one size into which segments are mapped, one after the
// other. The ranges are never unmapped, so a late access to a segment that no longer exists finds
// memory and does not end the process with a segmentation fault.
type Range struct {
	Size int

	mu   sync.Mutex
	free [][]byte // the most recently used last
}

// Map maps a segment of the Range's size.
func (r *Range) Map(fd int) ([]byte, error) { return r.place(fd, unix.PROT_READ|unix.PROT_WRITE) }

// place maps a segment with the given protection.
func (r *Range) place(fd, rights int) ([]byte, error) {
	if err := checkSize(fd, r.Size); err != nil {
		return nil, err
	}

	r.mu.Lock()
	defer r.mu.Unlock()

	if len(r.free) <= spare {
		mem, err := unix.Mmap(fd, 0, r.Size, rights, unix.MAP_SHARED)
		return mem, os.NewSyscallError("mmap", err)
	}

	mem := r.free[0]
	flags := unix.MAP_SHARED | unix.MAP_FIXED
	if _, err := unix.MmapPtr(fd, 0, addressOf(mem), uintptr(r.Size), rights, flags); err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	r.free = r.free[1:]
	return mem, nil
}

// spare is how many retired address ranges there are before the oldest is used again. With this
// number, only an extremely late access can hit another segment.
const spare = 16

// Retire puts private zeroed memory in place of a segment that Map has mapped.
func (r *Range) Retire(mem []byte) error {
	flags := unix.MAP_PRIVATE | unix.MAP_ANON | unix.MAP_FIXED | unix.MAP_NORESERVE
	if _, err := unix.MmapPtr(-1, 0, addressOf(mem), uintptr(len(mem)), unix.PROT_READ|unix.PROT_WRITE, flags); err != nil {
		return os.NewSyscallError("mmap", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.free = append(r.free, mem)
	return nil
}

func checkSize(fd, size int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if st.Size != int64(size) {
		return fmt.Errorf("a segment of %d bytes, not %d", st.Size, size)
	}
	return nil
}
