package broker

// A budget divides a resource of the root process among its clients. A client may have, with all clients below it,
// at most three times as much as it leaves of what its parent may have, so that something is left for the
// next: no tree of processes takes all, and no process takes all that its relatives may have. A reserve is for
// clients that have little so far. Leftovers of a dead client count until they are gone.
type budget struct {
	most    int // for all clients
	reserve int // part of most, for clients that have no more than sure
	sure    int
	used    int
}

// A resource is what there is a budget of.
type resource int

const (
	files resource = iota // descriptors
	keeps
	holds // segments that a client has met and does not own, or by which it is awaited when it is dead
	slots // of children, until they are forgotten
	resources
)

// alone returns how many a client of the root's can have if no other client has any.
func (b *budget) alone() int { return part(b.most - b.reserve) }

// part returns how much a client may have of what its parent may have, and others leave.
func part(n int) int { return 3 * n / 4 }
