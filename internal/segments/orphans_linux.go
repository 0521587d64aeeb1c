package segments

import "slices"

// A dead client's segments live on as long as they may be needed: by a process that has them, by a
// parent that has not read everything that the client sent, or by a message. The number of such
// segments that no living process has is bounded. Above the bound, the largest group of them loses
// some. A queue full of dead clients' messages then loses messages, and no other queue does.

// maxUnheld returns how many segments of dead clients may exist that no living process has.
func (s *Server) maxUnheld() int { return min(s.files.most/4, 1<<13) }

// countUnheld keeps count of the segments of dead clients that no living process has. The caller
// must hold s.mu, and must call countUnheld after each change of g.has or s.orphans.
func (s *Server) countUnheld(g *segment) {
	left := g.has == 0 && s.orphans[g.id] == g
	switch {
	case left == g.unheld:
		return
	case left:
		s.unheld++
	default:
		s.unheld--
	}
	g.unheld = left
}

// releaseAll disposes of what a dead client had. The caller must hold s.mu, which releaseAll
// releases between steps. The cost is proportional to what the client had.
func (s *Server) releaseAll(c *client) {
	var n step
	for g := range c.segments.m {
		s.pause(&n)
		if s.segments[g.id] != g { // removed in the meantime
			continue
		}

		await := g.holders[c] && !c.departed
		s.dropHolder(g, c)
		s.removeHolder(g, c)
		if g.owner == c {
			g.owner = nil
			s.orphans[g.id] = g
			s.countUnheld(g)
			if await = !c.departed; await {
				g.deadOwner = c
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

// settle forgets what is left of a dead client that has departed. The caller must hold s.mu, which
// settle releases between steps.
func (s *Server) settle(c *client) {
	var n step
	for g := range c.awaits.m {
		s.pause(&n)
		if !s.unawait(g, c) {
			continue
		}
		if g.deadOwner == c {
			g.deadOwner = nil
		}
		s.forgetIfUnused(g)
	}
	s.unlink()
}

// cut forgets segments of dead clients if there are more than maxUnheld. Because it has to look at
// all of these segments, it forgets more of them than it must, so that it is not needed again soon.
// The caller must hold s.mu, which cut releases between steps.
func (s *Server) cut() {
	if s.unheld <= s.maxUnheld() {
		return
	}
	most := s.maxUnheld() - s.maxUnheld()/8
	var n step
	groups := map[group][]*segment{}
	for _, g := range s.orphans {
		if g.unheld {
			why := s.groupOf(g)
			groups[why] = append(groups[why], g)
		}
		s.pause(&n)
	}

	s.mu.Unlock()
	victims := leveled(groups, s.root)
	s.mu.Lock()

	for _, g := range victims {
		if s.unheld <= most {
			return
		}
		if g.unheld { // otherwise another removal took it along, or a process has it again
			s.remove(g)
			s.unlink()
		}
		s.pause(&n)
	}
}

// A group consists of the segments that live on for the same reason.
type group struct {
	client  *client // owns the carrier, or published it if the owner is dead
	carrier uint64
}

// leveled returns the members of all groups in the order in which they are forgotten: each time,
// one of the group that is the largest at that moment. A client can create any number of carriers
// and children. Therefore all groups of a client and of the clients below it count as one for the
// clients above it; within that combined group, again, the largest loses first.
func leveled(groups map[group][]*segment, root *client) []*segment {
	parts := map[*client][][]*segment{} // by client: the lists of its carriers and of its children
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

// merged merges lists by position: first the first members of all lists, then the second members,
// and so on.
func merged(lists [][]*segment) []*segment {
	if len(lists) == 1 {
		return lists[0]
	}
	var all []*segment
	for i := 0; len(lists) > 0; i++ {
		lists = slices.DeleteFunc(lists, func(l []*segment) bool { return i == len(l) })
		for _, l := range lists {
			all = append(all, l[i])
		}
	}
	return all
}

const (
	// maxCarriers is how many carriers of a segment groupOf considers.
	maxCarriers = 8
	// farthest is how many carriers of carriers groupOf follows.
	farthest = 8
)

// groupOf returns the group of a dead client's segment. The group's reason is a carrier, which
// another carrier may keep in turn, or a parent that has not read everything. The caller must hold
// s.mu.
func (s *Server) groupOf(g *segment) group {
	for range farthest {
		var carrier *segment
		n := 0
		for c := range g.keptBy.m {
			if s.segments[c.id] == c && (carrier == nil || c.id < carrier.id) {
				carrier = c
			}
			if n++; n == maxCarriers {
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
