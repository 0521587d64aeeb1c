package segments

import (
	"errors"

	"github.com/go-multiprocessing/mp/internal/park"
)

// ErrGone is returned for a segment that does not exist, or no longer exists.
var ErrGone = errors.New("mp: the shared object is closed, or was lost with the process that had it")

// TagBits is the number of upper bits of a segment's number that contain its publisher's tag.
const TagBits = 20

// Keeping says for what purpose Keep keeps a segment.
type Keeping int

const (
	// Counted is for a message whose receiver calls Release.
	Counted Keeping = iota
	// Owned is for an Ownership and the memory that belongs to it. No process releases these. The
	// server finds out when they are free.
	Owned
	// Message is like Counted, but for a segment that this process has published only for that
	// message. The segment ends with the message, and this process is told when that happens.
	Message
)

// A Directory is one process's view of the broker. It is safe for concurrent use.
type Directory interface {
	// WaitTable returns the WaitTable at which the goroutines of this process wait.
	WaitTable() *park.WaitTable

	// Tag returns the upper TagBits bits of the numbers of all segments that this process
	// publishes. No other process has the same tag, so no other process can reuse the number of one
	// of these segments after the segment has ended.
	Tag() uint64

	// Publish lets other processes fetch a segment of this process, or a file if size is 0. It
	// takes ownership of the descriptor unless it returns an error. If arena is set, the segment
	// contains objects that must be cleaned up when a process has died.
	Publish(id uint64, fd int, size int, arena bool) error

	// Fetch returns a descriptor of a segment. The caller owns it. If the segment does not exist,
	// the error is ErrGone.
	Fetch(id uint64) (Segment, error)

	// FetchFile is like Fetch, but for a file. Closing the descriptor may take a long time.
	FetchFile(id uint64) (fd int, err error)

	// Drop records that this process no longer uses a fetched segment.
	Drop(id uint64)

	// Destroy ends a segment of this process for all processes. For another process's segment, it
	// does what Drop does.
	Destroy(id uint64)

	// Take makes this process the owner of a segment that one of its children owned.
	Take(id uint64)

	// Keep keeps a segment alive for a message in another segment, the carrier, whatever happens to
	// the segment's owner. It does so until Release is called or the carrier ends. This process
	// must have both segments.
	Keep(carrier, id uint64, how Keeping) error

	// Release undoes a Keep. If end is set, it also destroys a segment that was kept as Message.
	Release(carrier, id uint64, end bool)

	// Adopt serves the child process at the other side of end, one end of a Pair. It takes
	// ownership of end and pidfd. died must be closed when the child has died.
	Adopt(end, pidfd int, died <-chan struct{}) (Child, error)
}

// A Segment is the result of Fetch.
type Segment struct {
	FD    int
	Size  int
	Arena bool
}

// A Child is a process that Adopt serves.
type Child interface {
	// Depart records that nothing more that the child sent will be read. Segments that it owned
	// when it died are then forgotten if no process has attached them.
	Depart()
}
