//go:build linux

package sys

import (
	"syscall"
	"unsafe"
)

// ReadAtOnce reads into b the beginning of a file that is generated in memory, such as a file in
// /proc. b must not be empty. The goroutine keeps its processor during the call. After an ordinary
// system call, it might have to wait ten milliseconds or more for a processor if all of them are
// busy.
func ReadAtOnce(fd int, b []byte) (n int, err error) {
	r, _, errno := syscall.RawSyscall6(syscall.SYS_PREAD64, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(r), nil
}
