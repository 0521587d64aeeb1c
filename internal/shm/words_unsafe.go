package shm

import (
	"sync/atomic"
	"unsafe"
)

// Word64 returns the word at offset off of mem. off must be a multiple of 8, and the word must lie
// in mem. The word is valid as long as the mapping exists, and also after Retire.
func Word64(mem []byte, off int) *atomic.Uint64 {
	_ = mem[off+7]
	return (*atomic.Uint64)(unsafe.Pointer(&mem[off]))
}

// Word32 returns the word at offset off of mem, which must be a multiple of 4.
func Word32(mem []byte, off int) *atomic.Uint32 {
	_ = mem[off+3]
	return (*atomic.Uint32)(unsafe.Pointer(&mem[off]))
}

// Words returns the n words that begin at offset off. If n is 0, off may be the length of mem.
func Words(mem []byte, off, n int) []atomic.Uint64 {
	_ = mem[off : off+8*n]
	if n == 0 {
		return nil // there may be no byte at off
	}
	return unsafe.Slice((*atomic.Uint64)(unsafe.Pointer(&mem[off])), n)
}

// Slice returns mem as values of T. T must consist of numbers only, for which every bit pattern is
// valid. mem must be aligned for T, as a segment's start and every multiple of 64 from it are.
// Slice leaves out bytes at the end that do not make up a whole T.
func Slice[T any](mem []byte) []T {
	var t T
	n := len(mem) / int(unsafe.Sizeof(t))
	if n == 0 {
		return []T{}
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(mem))), n)
}

// Bytes returns the memory of values of T, with the same requirements for T.
func Bytes[T any](values []T) []byte {
	var t T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), len(values)*int(unsafe.Sizeof(t)))
}

// At returns the value of type T at the beginning of mem. The requirements are those of Slice.
func At[T any](mem []byte) *T {
	return &Slice[T](mem)[0]
}

func addressOf(mem []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(mem)) }

// Address returns the address at which mem begins.
func Address(mem []byte) uintptr { return uintptr(addressOf(mem)) }
