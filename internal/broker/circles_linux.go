package broker

// A look finds the segments that no process can get. It releases the server's lock between steps.
// Segments that a process can get when the look starts count as reached. Server.reach adds segments
// that a process gets later.
type look struct {
	reached map[*segment]bool // false for segments kept only by messages and not reached yet
	next    []*segment        // reached segments whose contents are not reached yet
}

// LetGoOfCircles forgets segments that live on only because of messages in each other, if no
// process can get any of them.
func (s *Server) LetGoOfCircles() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.look != nil { // another goroutine is doing it
		return
	}

	l := &look{reached: map[*segment]bool{}}
	s.look = l
	defer func() { s.look = nil }()

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
		s.reachCarried(&n) // later calls are for segments that were got in a pause
		if !l.reached[g] {
			s.remove(g)
			s.unlink()
		}
	}
}

// reach records that a process can get a segment. The caller must hold s.mu.
func (s *Server) reach(g *segment) {
	if s.look == nil {
		return
	}
	if reached, among := s.look.reached[g]; among && !reached {
		s.look.reached[g] = true
		s.look.next = append(s.look.next, g)
	}
}

// reachCarried reaches all segments that the reached ones carry. The caller must hold s.mu, which
// reachCarried releases between steps.
func (s *Server) reachCarried(n *step) {
	l := s.look
	for len(l.next) > 0 {
		g := l.next[len(l.next)-1]
		l.next = l.next[:len(l.next)-1]
		for carried := range g.carries.m {
			s.reach(carried)
			s.pause(n)
		}
	}
}
