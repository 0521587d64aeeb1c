package broker

// A dead client's segments live on as long as they may be needed: by a process that has them, by a
// parent that has not looked at what the client sent, or by a message. The number of such segments that no living
// process has is bounded. Above the bound, the largest group of them loses some: a queue full of dead
// clients' messages loses messages, and no other queue does.

// mostLeft is how many segments of dead clients may exist that no living process has.
func (s *Server) mostLeft() int { return min(s.files.most/4, 1<<13) }

// inherit disposes of what a dead client had; under the lock.
func (s *Server) inherit(c *client) {
	for id, g := range s.segments {
		await := g.holders[c] && !c.departed
		g.release(c)
		delete(g.holders, c)
		if g.owner == c {
			g.owner = nil
			s.orphans[id] = g
			if await = !c.departed; await {
				g.estate = c
			}
		}
		if await {
			if g.awaited == nil {
				g.awaited = map[*client]struct{}{}
			}
			g.awaited[c] = struct{}{}
		}
		s.forgetIfUnused(g)
	}
	s.cut()
}

// settle forgets what is left of a dead client that has departed; under the lock.
func (s *Server) settle(c *client) {
	for _, g := range s.segments {
		if _, ok := g.awaited[c]; !ok {
			continue
		}
		delete(g.awaited, c)
		if g.estate == c {
			g.estate = nil
		}
		s.forgetIfUnused(g)
	}
}

// cut forgets segments of dead clients above mostLeft; under the lock.
func (s *Server) cut() {
	heaps, n := map[any][]*segment{}, 0
	for _, g := range s.orphans {
		if g.has == 0 {
			why := s.reason(g)
			heaps[why] = append(heaps[why], g)
			n++
		}
	}
	for n > s.mostLeft() {
		var most any
		for why, heap := range heaps {
			if len(heap) > len(heaps[most]) {
				most = why
			}
		}
		heap := heaps[most]
		cut := max(min(len(heap)/2, n-s.mostLeft()), 1)
		for _, g := range heap[:cut] {
			s.remove(g)
		}
		heaps[most] = heap[cut:]
		n -= cut
	}
}

// reason returns why a dead client's segment lives on: a carrier, which another carrier may keep in turn, or
// the parent that has not looked yet; under the lock.
func (s *Server) reason(g *segment) any {
	for range 8 {
		var carrier *segment
		for id := range g.keptBy {
			if c := s.segments[id]; c != nil && (carrier == nil || c.id < carrier.id) {
				carrier = c
			}
		}
		if carrier == nil {
			break
		}
		if g = carrier; s.orphans[g.id] == nil {
			return g.id
		}
	}
	for c := range g.awaited {
		return c.parent
	}
	return g.id
}
