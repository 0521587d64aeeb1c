package shm

import (
	"cmp"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// New creates a zeroed segment of size bytes. It returns the segment's descriptor, which is
// close-on-exec, and a mapping. The caller owns both.
func New(name string, size int) (fd int, mem []byte, err error) {
	fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return -1, nil, os.NewSyscallError("memfd_create", err)
	}
	if mem, err = sized(fd, size); err != nil {
		_ = unix.Close(fd)
		return -1, nil, err
	}
	return fd, mem, nil
}

// sized gives a new segment its final size and maps it.
func sized(fd, size int) (mem []byte, err error) {
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		return nil, os.NewSyscallError("ftruncate", err)
	}
	seals := unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return Map(fd, size)
}

// Map maps a segment of exactly size bytes. For a segment of any other size it returns an error.
func Map(fd, size int) ([]byte, error) {
	if err := checkSize(fd, size); err != nil {
		return nil, err
	}
	mem, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return mem, os.NewSyscallError("mmap", err)
}

// Unmap removes a mapping.
func Unmap(mem []byte) error { return os.NewSyscallError("munmap", unix.Munmap(mem)) }

// Sealed reports whether the segment can no longer shrink.
func Sealed(fd int) bool {
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	return err == nil && seals&unix.F_SEAL_SHRINK != 0
}

// Anonymous reports whether the descriptor refers to memory, or to a file in a memory-backed file
// system. It never blocks, whatever the descriptor is.
func Anonymous(fd int) bool {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	return err == nil
}

// CloseFD closes a segment's descriptor. Mappings remain valid.
func CloseFD(fd int) { _ = unix.Close(fd) }

// DupFD returns a close-on-exec duplicate of a descriptor.
func DupFD(fd int) (int, error) {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	return own, os.NewSyscallError("fcntl", err)
}

// Store creates a segment that contains b, which must not be empty, without mapping it.
func Store(name string, b []byte) (fd int, err error) {
	fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return -1, os.NewSyscallError("memfd_create", err)
	}

	for at := 0; at < len(b); {
		n, err := unix.Pwrite(fd, b[at:], int64(at))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			_ = unix.Close(fd)
			return -1, os.NewSyscallError("write", err)
		}
		at += n
	}

	return fd, nil
}

// piece is how many bytes Load reads between two calls of goOn.
const piece = 4 << 20

// Load appends the first size bytes of a segment to buf. A sparse file can be large at no cost, so
// Load allocates memory only if at least that much memory is allocated for the segment. Load calls
// goOn before each piece of a few MiB; if goOn returns an error, Load stops and returns that error.
func Load(fd int, buf []byte, size int, goOn func() error) ([]byte, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return buf, os.NewSyscallError("fstat", err)
	}
	if has := min(st.Size, st.Blocks*512); int64(size) > has {
		return buf, fmt.Errorf("%d of %d bytes: %w", has, size, io.ErrUnexpectedEOF)
	}

	at := len(buf)
	out := buf
	if cap(out)-at < size {
		out = make([]byte, at, at+size) // unlike slices.Grow, touches no page before the read
		copy(out, buf)
	}
	out = out[:at+size]

	for off := 0; off < size; {
		if err := goOn(); err != nil {
			return buf, fmt.Errorf("%d of %d bytes were read: %w", off, size, err)
		}
		n, err := unix.Pread(fd, out[at+off:at+min(size, off+piece)], int64(off))
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return buf, fmt.Errorf("%d of %d bytes: %w", off, size, cmp.Or(os.NewSyscallError("read", err), io.ErrUnexpectedEOF))
		}
		off += n
	}
	return out, nil
}

// Allocated returns how many bytes of a segment have memory, including memory that is swapped out.
func Allocated(fd int) (int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, os.NewSyscallError("fstat", err)
	}
	return st.Blocks * 512, nil
}

// Read reads the beginning of a segment into b. Unlike reading a mapping, it does not allocate
// memory for parts of the segment that were never written.
func Read(fd int, b []byte) error {
	for at := 0; at < len(b); {
		n, err := unix.Pread(fd, b[at:], int64(at))
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return cmp.Or(os.NewSyscallError("read", err), io.ErrUnexpectedEOF)
		}
		at += n
	}
	return nil
}
