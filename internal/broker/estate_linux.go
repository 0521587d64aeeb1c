package broker

import "slices"

// A dead client's segments live on as long as they may be needed: by a process that has them, by a
// parent that has not looked at what the client sent, or by a message. The number of such segments that no living
// process has is bounded. Above the bound, the largest group of them loses some: a queue full of dead
// clients' messages loses messages, and no other queue does.

// mostLeft is how many segments of dead clients may exist that no living process has.
func (s *Server) mostLeft() int { return min(s.files.most/4, 1<<13) }

// countLeft keeps count of the segments of dead clients that no living process has. It is called under the lock
// after each change to one of both.
func (s *Server) countLeft(g *segment) {
	left := g.has == 0 && s.orphans[g.id] == g
	switch {
	case left == g.left:
		return
	case left:
		s.left++
	default:
		s.left--
	}
	g.left = left
}

// inherit disposes of what a dead client had. It needs the lock, which it gives up between steps. Its cost is
// that of what the client had.
func (s *Server) inherit(c *client) {
	var n step
	for g := range c.segments.m {
		s.pause(&n)
		if s.segments[g.id] != g { // removed meanwhile
			continue
		}
		await := g.holders[c] && !c.departed
		s.letGo(g, c)
		s.unmeet(g, c)
		if g.owner == c {
			g.owner = nil
			s.orphans[g.id] = g
			s.countLeft(g)
			if await = !c.departed; await {
				g.estate = c
			}
		}
		if await {
			s.await(g, c)
		}
		s.forgetIfUnused(g)
	}
	c.segments = table[*segment, struct{}]{}
	s.unlink()
	s.cut()
}

// settle forgets what is left of a dead client that has departed. It needs the lock, which it gives up between
// steps.
func (s *Server) settle(c *client) {
	var n step
	for g := range c.awaits.m {
		s.pause(&n)
		if !s.unawait(g, c) {
			continue
		}
		if g.estate == c {
			g.estate = nil
		}
		s.forgetIfUnused(g)
	}
	s.unlink()
}

// cut forgets segments of dead clients if there are more than mostLeft. As it looks at all of them, it forgets some
// more than it must: the next one is not needed soon. It needs the lock, which it gives up between steps.
func (s *Server) cut() {
	if s.left <= s.mostLeft() {
		return
	}
	most := s.mostLeft() - s.mostLeft()/8
	var n step
	groups := map[group][]*segment{}
	for _, g := range s.orphans {
		if g.left {
			why := s.groupOf(g)
			groups[why] = append(groups[why], g)
		}
		s.pause(&n)
	}

	s.mu.Unlock()
	victims := leveled(groups, s.root)
	s.mu.Lock()

	for _, g := range victims {
		if s.left <= most {
			return
		}
		if g.left { // else it is gone with another one, or somebody has it again
			s.remove(g)
			s.unlink()
		}
		s.pause(&n)
	}
}

// A group is of segments that live on for the same reason: a carrier.
type group struct {
	client  *client // owns the carrier, or published it if its owner is dead
	carrier uint64
}

// leveled returns the members of groups in the order in which they are forgotten: always one of the group that is
// then the largest. All groups of a client and of the clients below it are one for those above it, since a client can
// make any number of carriers, and children; within that one, again, the largest loses first.
func leveled(groups map[group][]*segment, root *client) []*segment {
	parts := map[*client][][]*segment{} // of a client: those of its carriers, and of its children
	children := map[*client][]*client{}
	linked := map[*client]bool{root: true}
	for why, members := range groups {
		parts[why.client] = append(parts[why.client], members)
		for c := why.client; !linked[c]; c = c.parent {
			linked[c] = true
			children[c.parent] = append(children[c.parent], c)
		}
	}
	var merge func(c *client) []*segment
	merge = func(c *client) []*segment {
		all := parts[c]
		for _, child := range children[c] {
			all = append(all, merge(child))
		}
		return merged(all)
	}
	victims := merge(root)
	slices.Reverse(victims)
	return victims
}

// merged returns the members of several lists by their places there: first the first ones of all lists.
func merged(lists [][]*segment) []*segment {
	if len(lists) == 1 {
		return lists[0]
	}
	var all []*segment
	for place := 0; len(lists) > 0; place++ {
		lists = slices.DeleteFunc(lists, func(l []*segment) bool { return place == len(l) })
		for _, l := range lists {
			all = append(all, l[place])
		}
	}
	return all
}

const (
	// mostCarriers is how many carriers of a segment are looked at for its group.
	mostCarriers = 8
	// farthest is how many carriers of carriers are.
	farthest = 8
)

// groupOf returns why a dead client's segment lives on: a carrier, which another carrier may keep in turn, or
// a parent that has not looked yet; under the lock.
func (s *Server) groupOf(g *segment) group {
	for range farthest {
		var carrier *segment
		n := 0
		for c := range g.keptBy.m {
			if s.segments[c.id] == c && (carrier == nil || c.id < carrier.id) {
				carrier = c
			}
			if n++; n == mostCarriers {
				break
			}
		}
		if carrier == nil {
			break
		}
		if g = carrier; g.owner != nil {
			return group{g.owner, g.id}
		}
	}
	for c := range g.awaited {
		return group{c, 0}
	}
	return group{g.by, g.id}
}
