package broker

// A budget divides a resource of the root process among its clients. A client may have at most three times
// as much as it leaves, so that something is left for the next. A reserve is for clients that have
// little so far. Leftovers of a dead client count until they are gone.
type budget struct {
	most    int // for all clients
	reserve int // part of most, for clients that have no more than sure
	sure    int
	used    int
}

// admits reports whether a client that has has may have more more.
func (b *budget) admits(has, more int) bool {
	if b.used+more > b.most {
		return false
	}
	return has+more <= b.sure || has+more <= 3*(b.most-b.reserve-b.used-more)
}

// alone returns how many a client can have if no other client has any.
func (b *budget) alone() int { return 3 * (b.most - b.reserve) / 4 }
