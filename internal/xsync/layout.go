package xsync

import (
	"encoding/binary"

	"github.com/go-multiprocessing/mp/internal/shm"
)

// Kinds returns all kinds of objects except KindNone. Tests that attack every kind use it, so that
// they cover new kinds too.
func Kinds() (all []Kind) {
	for k := KindNone + 1; k < kinds; k++ {
		all = append(all, k)
	}
	return all
}

// PipeLocks returns the offsets, within a Pipe's memory, of the words of its rings' locks.
func PipeLocks() (offsets []int) {
	for i := range 2 {
		for _, off := range []int{offPut, offGet} {
			offsets = append(offsets, offRings+i*RingSize+off)
		}
	}
	return offsets
}

// PutElsewhere puts a spilled record into the Ring with the given head and data, as a corrupt
// process might: without a lock, and with an unchecked place. It wakes no waiter.
func PutElsewhere(head, data []byte, id, size uint64) {
	tail := shm.Word64(head, offTail)
	at := position(tail.Load())
	for i, word := range []uint64{SpillSize | spilled, id, size, 0} {
		binary.LittleEndian.PutUint64(data[(at.place()+i*unit)%len(data):], word)
	}
	r := &Ring{data: data, reserve: true}
	tail.Store(uint64(r.behind(at, SpillSize)))
}

// PipeRing returns the head and the data of the i-th of a Pipe's two Rings, within the Pipe's
// memory.
func PipeRing(mem []byte, i int) (head, data []byte) {
	data = mem[PipeHead:]
	half := len(data) / 2
	return mem[offRings+i*RingSize:][:RingSize], data[i*half:][:half]
}
