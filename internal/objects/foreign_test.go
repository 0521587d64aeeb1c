//go:build linux

package objects

import (
	"testing"

	"github.com/go-multiprocessing/mp/internal/segments"
	"github.com/go-multiprocessing/mp/internal/shm"
)

// No creator can use up the addresses or mappings for the segments of all others, whatever sizes it
// claims. Other creators can use the memory that one creator gives back. The root process is not
// limited.
func TestForeignSegmentsOfOneMaker(t *testing.T) {
	const little = 4 << 20
	of := func(maker uint64) uint64 { return maker<<(64-segments.TagBits) | 7 }
	most := int(shm.Room())
	var f foreign
	if f.add(of(1), most-little) == nil {
		t.Error("one maker has got all addresses")
	}

	for maker := uint64(1); maker <= 20; maker++ { // each in turn takes as much as it gets
		for size := most; size > 0; size /= 2 {
			for f.add(of(maker), size) == nil && f.by[of(maker)>>(64-segments.TagBits)].maps < 1<<10 {
			}
		}
		if left := uint64(most) - f.bytes; left < uint64(most)/9 {
			t.Fatalf("%d makers have left %d bytes", maker, left)
		}
	}
	if err := f.add(of(30), little); err != nil {
		t.Error("another maker: ", err)
	}

	for maker := uint64(1); maker <= 20; maker++ {
		f.remove(of(maker), int(f.by[maker].bytes)-int(f.by[maker].maps-1))
		for f.by[maker].maps > 0 {
			f.remove(of(maker), 1)
		}
	}
	if f.remove(of(30), little); f.bytes != 0 || f.maps != 0 || len(f.by) != 0 {
		t.Errorf("%d bytes in %d segments of %d makers are left", f.bytes, f.maps, len(f.by))
	}

	taken := 0
	for f.add(of(1), 1) == nil {
		taken++
	}
	if taken < maxMaps/4 || taken > maxMaps/2 {
		t.Errorf("%d segments of one maker", taken)
	}
	if err := f.add(of(2), 1); err != nil {
		t.Error("another maker: ", err)
	}

	f = foreign{}
	if err := f.add(of(rootTag), most); err != nil {
		t.Error("the root process: ", err)
	}
	if f.add(of(1), 1) == nil {
		t.Error("more than there is")
	}
}
