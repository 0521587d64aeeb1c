package link

import (
	"encoding/binary"
	"math/bits"
)

// A result in the ring is sealed, so that a stray write to it by the worker is detected. The number
// of the result's task is stored XORed with a checksum. If the result has been changed, unsealing
// it yields the number of a task that is not due. Sealing takes no space, and one multiplication
// for each eight bytes. It does not protect against deliberate changes.

// seal returns the sealed number of a result's task. It is its own inverse: it also unseals.
func seal(seq, word uint32, data []byte) uint32 { return seq ^ checksum(word, data) }

// isWord reports whether a result of n bytes takes exactly one word of the ring, as most results
// do. Such a result is sealed by sealWord, all others by seal.
func isWord(n int) bool { return 1 <= n && n <= 8 }

// sealWord is like seal, but for a result of one word. Its checksum covers all eight bytes in the
// ring, including the padding. It is computed from the ring, so a write between the copy into the
// ring and the computation is not detected.
func sealWord(seq, word uint32, data uint64) uint32 {
	return seq ^ uint32(((data^uint64(word)*mix1)*mix0)>>32)
}

// Seal returns the sealed number of a result's task, for tests that write results by hand. The
// argument word is the result's first word. If data takes one word, Seal pads it with zeros.
func Seal(seq, word uint32, data []byte) uint32 {
	if isWord(len(data)) {
		var b [8]byte
		copy(b[:], data)
		return sealWord(seq, word, binary.LittleEndian.Uint64(b[:]))
	}
	return seal(seq, word, data)
}

// The multipliers are odd numbers without an obvious pattern.
const (
	mix0 = 0x9e3779b97f4a7c15
	mix1 = 0xc2b2ae3d27d4eb4f
	mix2 = 0x165667b19e3779f9
	mix3 = 0xd6e8feb86659fd93
)

// checksum returns a checksum of a result's word and data. Each step is a bijection, so a change in
// one place always changes the sum before its upper half is taken.
func checksum(word uint32, data []byte) uint32 {
	h := uint64(word) * mix1
	if len(data) >= 64 {
		h, data = checksumLong(h, data)
	}
	for len(data) >= 8 {
		h = (h ^ binary.LittleEndian.Uint64(data)) * mix0
		data = data[8:]
	}
	for i, b := range data {
		h ^= uint64(b) << (8 * i)
	}
	return uint32((h * mix0) >> 32)
}

// checksumLong adds all whole blocks of 64 bytes to the checksum h, in four lanes that the
// processor computes in parallel. It returns the checksum and the remaining bytes.
func checksumLong(h uint64, data []byte) (uint64, []byte) {
	a, b, c, d := h, h^mix1, h^mix2, h^mix3
	for len(data) >= 64 {
		p := (*[64]byte)(data) // the compiler knows the length
		a = (a ^ binary.LittleEndian.Uint64(p[0:])) * mix0
		b = (b ^ binary.LittleEndian.Uint64(p[8:])) * mix1
		c = (c ^ binary.LittleEndian.Uint64(p[16:])) * mix2
		d = (d ^ binary.LittleEndian.Uint64(p[24:])) * mix3
		a = (a ^ binary.LittleEndian.Uint64(p[32:])) * mix0
		b = (b ^ binary.LittleEndian.Uint64(p[40:])) * mix1
		c = (c ^ binary.LittleEndian.Uint64(p[48:])) * mix2
		d = (d ^ binary.LittleEndian.Uint64(p[56:])) * mix3
		data = data[64:]
	}
	h = a ^ bits.RotateLeft64(b, 16) ^ bits.RotateLeft64(c, 32) ^ bits.RotateLeft64(d, 48)
	return h * mix0, data
}
