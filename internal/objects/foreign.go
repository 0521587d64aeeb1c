package objects

import (
	"fmt"

	"github.com/go-multiprocessing/mp/internal/park"
	"github.com/go-multiprocessing/mp/internal/segments"
	"github.com/go-multiprocessing/mp/internal/shm"
)

// A foreign counts the memory of other processes that this process has mapped. A segment costs its
// creator nothing, however large it is, and a process without free addresses or mappings dies when
// its heap grows. So no creator may use up everything, except for the root process, with which all
// other processes end.
type foreign struct {
	mapped
	by map[uint64]mapped // by tag, for creators other than the root process
}

type mapped struct {
	bytes uint64
	maps  uint64
}

const (
	// maxMaps is how many segments of other processes this process may map. The system grants a
	// process about 65,000 mappings, and this process needs some for itself.
	maxMaps = 1 << 15
	rootTag = 0
)

// makerOf returns the tag of the process that created a segment.
func makerOf(id uint64) (tag uint64) { return id >> (64 - segments.TagBits) }

// add counts a segment, or returns an error if there is no room for it.
func (f *foreign) add(id uint64, size int) error {
	more, most := mapped{uint64(size), 1}, mapped{shm.Room(), maxMaps}
	if exceeds(f.bytes, more.bytes, most.bytes) || exceeds(f.maps, more.maps, most.maps) {
		return fmt.Errorf("mp: a segment of %d bytes is too much: %d bytes in %d segments of other processes are mapped here, and there may be at most %d in %d",
			size, f.bytes, f.maps, most.bytes, most.maps)
	}

	maker := makerOf(id)
	if has := f.by[maker]; maker != rootTag {
		if !admits(f.bytes, has.bytes, more.bytes, most.bytes) || !admits(f.maps, has.maps, more.maps, most.maps) {
			return fmt.Errorf("mp: a segment of %d bytes is too much of one process: %d bytes in %d of its segments are mapped here, and it must leave as much to others of the %d in %d that there may be",
				size, has.bytes, has.maps, most.bytes, most.maps)
		}
		if f.by == nil {
			f.by = map[uint64]mapped{}
		}
		f.by[maker] = mapped{has.bytes + more.bytes, has.maps + more.maps}
	}

	f.bytes += more.bytes
	f.maps += more.maps
	return nil
}

func exceeds(used, more, most uint64) bool { return more > most || used > most-more }

// admits reports whether a creator may get more bytes or mappings; has is the number that it has
// already. most is the limit for all creators together, and used is how much of that is in use. A
// creator gets no more than it leaves to others. An eighth of most is reserved, in equal parts, for
// creators that have little so far.
func admits(used, has, more, most uint64) bool {
	reserve := most / 8
	return has+more <= reserve/park.MaxProcs || !exceeds(used, more, most-reserve) && has+more <= most-reserve-used-more
}

// remove undoes add.
func (f *foreign) remove(id uint64, size int) {
	f.bytes -= uint64(size)
	f.maps--
	maker := makerOf(id)
	if maker == rootTag {
		return
	}
	has := f.by[maker]
	has.bytes -= uint64(size)
	has.maps--
	if has.maps == 0 {
		delete(f.by, maker)
	} else {
		f.by[maker] = has
	}
}
