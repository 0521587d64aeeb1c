package share

import (
	"fmt"

	"github.com/go-multiprocessing/mp/internal/shm"
)

// foreign is how much of others' memory this process has mapped. It costs them nothing to make it
// large, and a process that has no addresses or mappings left dies when its heap grows.
type foreign struct {
	bytes uint64
	maps  int
}

// mostMaps is how many segments of others there may be: the system grants a process some 65,000
// mappings, and this one needs others.
const mostMaps = 1 << 15

func (f *foreign) add(size int) error {
	if most := shm.Room(); f.maps >= mostMaps || uint64(size) > most || f.bytes > most-uint64(size) {
		return fmt.Errorf("mp: %d bytes of another process are too much beside the %d bytes in %d segments of others that are mapped here: at most %d in %d",
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
