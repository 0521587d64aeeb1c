package broker

import (
	"errors"

	"github.com/go-multiprocessing/mp/internal/park"
)

// ErrGone is returned for a segment that does not exist, or no longer exists.
var ErrGone = errors.New("mp: the shared object is closed, or was lost with the process that had it")

// TagBits is the number of upper bits of a segment's number that are its publisher's tag.
const TagBits = 20

// Keeping says what Keep keeps a segment for.
type Keeping int

const (
	// Counted is for a message whose receiver calls Release.
	Counted Keeping = iota
	// Held is for a Held and the memory that belongs to it. No process releases these: the server finds
	// out when they are free.
	Held
	// Message is Counted for a segment that this process has published for that message alone, and that ends
	// with it. This process is told then.
	Message
)

// A Directory is the broker as one process sees it. It is safe for concurrent use.
type Directory interface {
	// Lot is where the goroutines of this process wait.
	Lot() *park.Lot
	// Tag returns the upper TagBits bits of the numbers of all segments that this process publishes. No
	// other process has the same tag, so none can reuse the number of another process's segment
	// after that is gone.
	Tag() uint64
	// Publish lets other processes fetch a segment of this one, or with size 0 a file. It takes the
	// descriptor over unless there is an error. An arena holds objects that must be looked after
	// when a process has died.
	Publish(id uint64, fd int, size int, arena bool) error
	// Fetch returns a descriptor, the caller's, of a segment.
	Fetch(id uint64) (Segment, error)
	// FetchFile is Fetch for a file. To close the descriptor may take long.
	FetchFile(id uint64) (fd int, err error)
	// Drop says that this process has no use for a fetched segment any more.
	Drop(id uint64)
	// Destroy ends a segment of this process for all processes. For another process's segment it is Drop.
	Destroy(id uint64)
	// Take makes this process the owner of a segment of a child's.
	Take(id uint64)
	// Keep lets a segment live, whatever becomes of its owner, until Release or the end
	// of the carrier, another segment: it is of a message that lies there. This process must have
	// both segments.
	Keep(carrier, id uint64, how Keeping) error
	// Release is the counterpart of Keep. With end it also destroys a segment that was kept as Message.
	Release(carrier, id uint64, end bool)
	// Adopt serves the process whose end of a Pair is given, which is taken over.
	// Died is closed when it has died.
	Adopt(end, pidfd int, died <-chan struct{}) (Child, error)
}

// A Segment is what Fetch returns.
type Segment struct {
	FD    int
	Size  int
	Arena bool
}

// A Child is a process that Adopt serves.
type Child interface {
	// Depart says that no more of what the process sent will be looked at: what it
	// owned when it died, and nobody has met, is forgotten.
	Depart()
}
