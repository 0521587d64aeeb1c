package segments

// A trace finds the segments that no process can get. It releases the server's lock between steps.
// Segments that a process can get when the trace starts count as reached. Server.reach adds
// segments that a process gets later.
type trace struct {
	reached map[*segment]bool // false for segments kept only by messages and not reached yet
	next    []*segment        // reached segments whose contents are not reached yet
}

// ReleaseCycles forgets segments that live on only because of messages in each other, if no
// process can get any of them.
func (s *Server) ReleaseCycles() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trace != nil { // another goroutine is doing it
		return
	}

	l := &trace{reached: map[*segment]bool{}}
	s.trace = l
	defer func() { s.trace = nil }()

	var n step
	for _, g := range s.orphans {
		if !g.had() {
			l.reached[g] = false
		}
		s.pause(&n)
	}

	for g := range l.reached {
		for carrier := range g.keptBy.m {
			s.pause(&n)
			if _, among := l.reached[carrier]; !among && s.segments[carrier.id] == carrier {
				s.reach(g)
				break
			}
		}
		s.pause(&n)
	}

	for g := range l.reached {
		s.pause(&n)
		s.reachCarried(&n) // later calls are for segments that processes got during a pause
		if !l.reached[g] {
			s.remove(g)
			s.unlink()
		}
	}
}

// reach records that a process can get a segment. The caller must hold s.mu.
func (s *Server) reach(g *segment) {
	if s.trace == nil {
		return
	}
	if reached, among := s.trace.reached[g]; among && !reached {
		s.trace.reached[g] = true
		s.trace.next = append(s.trace.next, g)
	}
}

// reachCarried reaches all segments that the reached ones carry. The caller must hold s.mu, which
// reachCarried releases between steps.
func (s *Server) reachCarried(n *step) {
	l := s.trace
	for len(l.next) > 0 {
		g := l.next[len(l.next)-1]
		l.next = l.next[:len(l.next)-1]
		for carried := range g.carries.m {
			s.reach(carried)
			s.pause(n)
		}
	}
}
