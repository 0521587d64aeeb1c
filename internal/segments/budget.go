package segments

// A budget divides a resource of the root process among its clients. Together with all clients
// below it, a client may have at most three times as much as it leaves of its parent's share, so
// something is left for the next client: no tree of processes takes everything, and no process
// takes its relatives' whole share. The reserve is for clients that have little so far. Resources
// that a dead client leaves behind count until they are released.
type budget struct {
	most    int // for all clients
	reserve int // part of most, for clients that have no more than sure
	sure    int
	used    int
}

// A resource is something that has a budget.
type resource int

const (
	files resource = iota // descriptors
	keeps
	holds // segments that a client has fetched but does not own, or may have sent before it died
	slots // slots of children, until the children are forgotten
	resources
)

// alone returns how much a client of the root can have if no other client has any.
func (b *budget) alone() int { return part(b.most - b.reserve) }

// part returns how much a client may have, where n is the part of its parent's share that others
// leave.
func part(n int) int { return 3 * n / 4 }
