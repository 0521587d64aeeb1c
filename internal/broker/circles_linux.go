package broker

// A look finds the segments that nobody can get. It gives the lock up between steps. What can be got when it begins,
// or becomes so meanwhile, is reached; reach is called for the latter.
type look struct {
	reached map[*segment]bool // false: of those that live on only because of messages, not reached so far
	next    []*segment        // reached; what they carry is not, so far
}

// LetGoOfCircles forgets what lives on only because of messages in what lives on for such a reason,
// and so on, where nobody can get any of them.
func (s *Server) LetGoOfCircles() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.look != nil { // another goroutine is at it
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
		s.reachCarried(&n) // the first time from all, then from what somebody has got in a pause
		if !l.reached[g] {
			s.remove(g)
			s.unlink()
		}
	}
}

// reach says that somebody can get a segment; under the lock.
func (s *Server) reach(g *segment) {
	if s.look == nil {
		return
	}
	if reached, among := s.look.reached[g]; among && !reached {
		s.look.reached[g] = true
		s.look.next = append(s.look.next, g)
	}
}

// reachCarried reaches what can be got from what has been reached. It needs the lock, which it gives up between
// steps.
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
