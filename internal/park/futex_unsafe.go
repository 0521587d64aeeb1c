//go:build linux

package park

import (
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The operations without FUTEX_PRIVATE_FLAG, for words that processes share.
const (
	futexOpWait = 0
	futexOpWake = 1
)

// futexWait sleeps until a wake if the word still has the given value, but not longer than limit.
// It may return early. It uses syscall.Syscall6, so the runtime runs other goroutines in the
// meantime.
func futexWait(word *atomic.Uint32, value uint32, limit time.Duration) {
	t := unix.NsecToTimespec(int64(limit))
	_, _, _ = syscall.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexOpWait, uintptr(value), uintptr(unsafe.Pointer(&t)), 0, 0)
}

// futexWake wakes the goroutine that sleeps on the word. It does not block, and takes so little
// time that the runtime need not be told.
func futexWake(word *atomic.Uint32) {
	_, _, _ = syscall.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexOpWake, 1, 0, 0, 0)
}
