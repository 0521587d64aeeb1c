package shm

import (
	"sync/atomic"
	"unsafe"
)

// Word64 is the word at offset off, which must be a multiple of 8 and lie in mem.
// It is valid as long as the mapping, and after Retire.
func Word64(mem []byte, off int) *atomic.Uint64 {
	_ = mem[off+7]
	return (*atomic.Uint64)(unsafe.Pointer(&mem[off]))
}

// Word32 is the word at offset off, a multiple of 4.
func Word32(mem []byte, off int) *atomic.Uint32 {
	_ = mem[off+3]
	return (*atomic.Uint32)(unsafe.Pointer(&mem[off]))
}

// Words are the n words from offset off on, which for no words may be where mem ends.
func Words(mem []byte, off, n int) []atomic.Uint64 {
	_ = mem[off : off+8*n]
	if n == 0 {
		return nil // mem may end there
	}
	return unsafe.Slice((*atomic.Uint64)(unsafe.Pointer(&mem[off])), n)
}

// Slice is memory seen as values of T, which must be made of numbers only: for
// those every bit pattern is valid. mem must be aligned for T, which a segment's
// start and every multiple of 64 from it are; what is left over at its end is cut off.
func Slice[T any](mem []byte) []T {
	var t T
	n := len(mem) / int(unsafe.Sizeof(t))
	if n == 0 {
		return []T{}
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(mem))), n)
}

// Bytes is the memory of values of T, of which the same is asked.
func Bytes[T any](values []T) []byte {
	var t T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), len(values)*int(unsafe.Sizeof(t)))
}

// At is the value of type T, of which the same is asked, at the beginning of mem.
func At[T any](mem []byte) *T {
	return &Slice[T](mem)[0]
}

func addressOf(mem []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(mem)) }

// Address is where mem begins.
func Address(mem []byte) uintptr { return uintptr(addressOf(mem)) }
