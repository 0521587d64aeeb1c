//go:build linux

package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// exitStatusOf returns the field si_status. The field comes after three numbers, the padding that
// aligns the union, and the pid and uid of the child.
func exitStatusOf(info *unix.Siginfo) int32 {
	head := unsafe.Sizeof([3]int32{})
	align := unsafe.Sizeof(uintptr(0))
	at := (head+align-1)/align*align + unsafe.Sizeof([2]int32{})
	return *(*int32)(unsafe.Add(unsafe.Pointer(info), at))
}
