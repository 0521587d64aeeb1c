package shm

import (
	"os"

	"golang.org/x/sys/unix"
)

// Freeze makes a segment read-only except through existing mappings. It returns an error before
// Linux 5.1.
func Freeze(fd int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_FUTURE_WRITE|unix.F_SEAL_SEAL)
	return os.NewSyscallError("fcntl", err)
}

// NewFrozen creates a zeroed segment of r's size that only this process can write, through the
// returned mapping. On a system without Freeze, other processes can write it too.
func (r *Range) NewFrozen(name string) (fd int, mem []byte, err error) {
	fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return -1, nil, os.NewSyscallError("memfd_create", err)
	}
	if err = unix.Ftruncate(fd, int64(r.Size)); err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW)
	}
	if err == nil {
		mem, err = r.Map(fd)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, nil, err
	}

	_ = Freeze(fd)
	return fd, mem, nil
}

// MapReadOnly is like Map, but without permission to write: a write to the memory causes a fault.
func (r *Range) MapReadOnly(fd int) ([]byte, error) { return r.place(fd, unix.PROT_READ) }
