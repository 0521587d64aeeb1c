package xsync

import (
	"encoding/binary"

	"github.com/go-multiprocessing/mp/internal/shm"
)

// Kinds returns all kinds of objects except KindNone. A test that attacks every kind
// uses it, and so covers new ones.
func Kinds() (all []Kind) {
	for k := KindNone + 1; k < kinds; k++ {
		all = append(all, k)
	}
	return all
}

// PipeLocks returns the offsets, in a Pipe's memory, of the words of its rings' locks.
func PipeLocks() (offsets []int) {
	for i := range 2 {
		for _, off := range []int{offPut, offGet} {
			offsets = append(offsets, offRings+i*RingSize+off)
		}
	}
	return offsets
}

// PutElsewhere puts a record into the Ring with the given memory, head and data, like a
// corrupt process: without a lock, and with an unchecked place. It wakes no waiter.
func PutElsewhere(mem []byte, id, size uint64) {
	data := mem[RingSize:]
	tail := shm.Word64(mem, offTail)
	at := tail.Load()
	rec := data[position(at).place()%len(data):]
	binary.LittleEndian.PutUint64(rec, SpillSize|spilled)
	binary.LittleEndian.PutUint64(rec[recordHead:], id)
	binary.LittleEndian.PutUint64(rec[recordHead+8:], size)
	binary.LittleEndian.PutUint64(rec[recordHead+16:], 0)
	r := &Ring{data: data, reserve: true}
	tail.Store(uint64(r.behind(position(at), SpillSize)))
}
