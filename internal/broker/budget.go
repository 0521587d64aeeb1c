package broker

// A budget shares what the root process can have of something among its clients. None can take so
// much that nothing is left for the next: it may have three times as much as it leaves. A reserve
// is for those that have little as yet. What a dead client has left behind counts until it is
// gone.
type budget struct {
	most    int // of all clients
	reserve int // of these, for those that have no more than sure
	sure    int
	used    int
}

// admits reports whether a client that has some may have as many more.
func (b *budget) admits(has, more int) bool {
	if b.used+more > b.most {
		return false
	}
	return has+more <= b.sure || has+more <= 3*(b.most-b.reserve-b.used-more)
}

// alone is how many a client can have if no other has any.
func (b *budget) alone() int { return 3 * (b.most - b.reserve) / 4 }
