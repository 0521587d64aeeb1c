package xsync

import (
	"encoding/binary"

	"github.com/go-multiprocessing/mp/internal/shm"
)

// Kinds are all kinds of objects but KindNone. A test that attacks every kind
// learns of a new one here.
func Kinds() (all []Kind) {
	for k := KindNone + 1; k < kinds; k++ {
		all = append(all, k)
	}
	return all
}

// PipeLocks are the places, in a Pipe's memory, of the words of its rings' locks.
func PipeLocks() (offsets []int) {
	for i := range 2 {
		for _, off := range []int{offPut, offGet} {
			offsets = append(offsets, offRings+i*RingSize+off)
		}
	}
	return offsets
}

// PutElsewhere puts a record into a Ring whose memory, head and data, is given, as a
// corrupt process does: without a lock, and with a place that nothing has checked. It
// wakes nobody.
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
