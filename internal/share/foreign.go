package share

import (
	"fmt"

	"github.com/go-multiprocessing/mp/internal/shm"
)

// foreign counts the memory of other processes that this process has mapped. A segment costs its maker nothing,
// however large it is, and a process without free addresses or mappings dies when its heap grows.
type foreign struct {
	bytes uint64
	maps  int
}

// mostMaps is how many segments of other processes may be mapped. The system grants a process some 65,000
// mappings, and this process needs some for itself.
const mostMaps = 1 << 15

func (f *foreign) add(size int) error {
	if most := shm.Room(); f.maps >= mostMaps || uint64(size) > most || f.bytes > most-uint64(size) {
		return fmt.Errorf("mp: a segment of %d bytes is too much: %d bytes in %d segments of other processes are mapped here, and there may be at most %d in %d",
			size, f.bytes, f.maps, most, mostMaps)
	}
	f.maps++
	f.bytes += uint64(size)
	return nil
}

func (f *foreign) remove(size int) {
	f.maps--
	f.bytes -= uint64(size)
}
