package main

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

func mmap(at uintptr, size int, prot, flags int) uintptr {
	p, _, err := unix.Syscall6(unix.SYS_MMAP, at, uintptr(size), uintptr(prot), uintptr(flags|unix.MAP_PRIVATE|unix.MAP_ANON), ^uintptr(0), 0)
	if err != 0 {
		panic(err)
	}
	return p
}

func unsafeBytes(at uintptr, size int) []byte {
	return unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&at))), size)
}
