package shm

import (
	"cmp"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// New makes a zeroed segment of size bytes and returns its descriptor, which
// is close-on-exec, and a mapping of it. The caller owns both.
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

// sized gives a new segment its size, for good, and maps it.
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

// Map maps a segment of exactly size bytes; any other size is an error.
func Map(fd, size int) ([]byte, error) {
	if err := checkSize(fd, size); err != nil {
		return nil, err
	}
	mem, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return mem, os.NewSyscallError("mmap", err)
}

// Unmap ends a mapping.
func Unmap(mem []byte) error { return os.NewSyscallError("munmap", unix.Munmap(mem)) }

// Sealed reports whether nobody can make a segment smaller.
func Sealed(fd int) bool {
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	return err == nil && seals&unix.F_SEAL_SHRINK != 0
}

// Anonymous reports whether a descriptor stands for memory, or for a file of a file system in memory. It
// never blocks, whatever the descriptor is.
func Anonymous(fd int) bool {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	return err == nil
}

// CloseFD closes a segment's descriptor; mappings stay.
func CloseFD(fd int) { _ = unix.Close(fd) }

// DupFD returns a duplicate of a descriptor, which is close-on-exec.
func DupFD(fd int) (int, error) {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	return own, os.NewSyscallError("fcntl", err)
}

// Store makes a segment of the bytes of b, at least one, without mapping it.
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

// Load appends the first size bytes of a segment to buf. It allocates memory only if the segment has that many
// bytes allocated: a sparse file can be large at no cost. It calls goOn before each piece of some MiB, and gives
// up with its error.
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
		out = make([]byte, at, at+size) // its pages are touched as they are read, unlike those of slices.Grow
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

// Allocated returns how many bytes of a segment have memory, also if that is swapped out.
func Allocated(fd int) (int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, os.NewSyscallError("fstat", err)
	}
	return st.Blocks * 512, nil
}

// Read reads the beginning of a segment into b. Unlike to read a mapping of it, that gives the segment no memory
// where nobody has written.
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
