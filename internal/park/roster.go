package park

import (
	"sync/atomic"

	"github.com/go-multiprocessing/mp/internal/shm"
)

// A roster records the slots in use. It has a segment of its own that only the root process can
// write. A process that could hide others in the roster could make the rest overlook the locks and
// waits of the hidden processes.
type roster struct {
	used []atomic.Uint64
	page []byte
	rfd  int
}

const rosterSize = 4096

// rosterRange is the address range of rosters. Rosters are never unmapped, for the same reason as
// mailboxes.
var rosterRange = shm.Range{Size: rosterSize}

func newRoster() (roster, error) {
	fd, page, err := rosterRange.NewFrozen("mp-roster")
	if err != nil {
		return roster{}, err
	}
	return roster{shm.Words(page, 0, MaxProcs/64), page, fd}, nil
}

func openRoster(fd int) (roster, error) {
	page, err := rosterRange.MapReadOnly(fd)
	if err != nil {
		shm.CloseFD(fd)
		return roster{}, err
	}
	return roster{shm.Words(page, 0, MaxProcs/64), page, fd}, nil
}

// RosterFD returns the descriptor of the roster's segment.
func (r *roster) RosterFD() int { return r.rfd }

// occupied reports whether a process has the slot.
func (r *roster) occupied(slot int) bool {
	return slot > 0 && slot < MaxProcs && r.used[slot/64].Load()>>(slot%64)&1 != 0
}

func (r *roster) close() {
	shm.CloseFD(r.rfd)
	_ = rosterRange.Retire(r.page)
}
