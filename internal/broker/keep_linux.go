package broker

// keep is why a carrier lets a segment live.
type keep struct {
	times int  // for so many messages, of which each gives it back
	held  bool // for messages with what is held, until LetGo
}

// Keep is Directory's.
func (s *Server) Keep(carrier, id uint64, held bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, c := s.segments[id], s.segments[carrier]
	if g == nil || c == nil || g == c {
		return ErrGone
	}
	k := g.keptBy[carrier]
	if held {
		k.held = true
	} else {
		k.times++
	}
	if g.keptBy == nil {
		g.keptBy = map[uint64]keep{}
	}
	if c.carries == nil {
		c.carries = map[uint64]struct{}{}
	}
	g.keptBy[carrier] = k
	c.carries[id] = struct{}{}
	return nil
}

// kept notes what is left of a carrier's reasons; under the lock.
func (s *Server) kept(id uint64, g *segment, carrier uint64, k keep) {
	if k != (keep{}) {
		g.keptBy[carrier] = k
		return
	}
	delete(g.keptBy, carrier)
	if c := s.segments[carrier]; c != nil {
		delete(c.carries, id)
	}
}

// Release is Directory's.
func (s *Server) Release(carrier, id uint64, end bool) {
	s.mu.Lock()
	g := s.segments[id]
	if g == nil || g.keptBy[carrier].times == 0 {
		s.mu.Unlock()
		return
	}
	k := g.keptBy[carrier]
	k.times--
	s.kept(id, g, carrier, k)
	ours := false
	if end {
		ours = s.removeForAll(id, g)
	} else {
		s.forgetIfUnused(id, g)
	}
	s.mu.Unlock()
	if ours {
		s.gone(id)
	}
}

// Orphans returns the arenas of the dead that live on because of messages.
func (s *Server) Orphans() (ids []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, g := range s.orphans {
		if g.arena && len(g.keptBy)+len(g.carries) > 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// Look calls f with a segment, if it is there.
func (s *Server) Look(id uint64, f func(fd, size int)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.segments[id]; g != nil {
		f(g.fd, g.size)
	}
}

// LetGo says that what was kept as held is not needed any more, of what the maker of an arena has made,
// who is dead.
func (s *Server) LetGo(arena uint64, ids []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.orphans[arena]
	if a == nil {
		return
	}
	for _, id := range ids {
		g := s.orphans[id]
		if g == nil || g.by != a.by {
			continue
		}
		for carrier, k := range g.keptBy {
			k.held = false
			s.kept(id, g, carrier, k)
		}
		s.forgetIfUnused(id, g)
	}
}

// LetGoOfCircles forgets what lives on only because of messages in what lives on for such a reason,
// and so on, where nobody can get any of them.
func (s *Server) LetGoOfCircles() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.orphans {
		if reach := s.keepers(id); reach != nil {
			for id, g := range reach {
				s.remove(id, g)
			}
		}
	}
}

// keepers returns an orphan that nobody has, and all that it is kept by, and so on; nil if somebody
// has one of them; under the lock.
func (s *Server) keepers(id uint64) map[uint64]*segment {
	all := map[uint64]*segment{}
	for next := []uint64{id}; len(next) > 0; {
		id := next[len(next)-1]
		next = next[:len(next)-1]
		if all[id] != nil {
			continue
		}
		g := s.segments[id]
		if g == nil {
			continue
		}
		if g.had() {
			return nil
		}
		all[id] = g
		for carrier := range g.keptBy {
			next = append(next, carrier)
		}
	}
	return all
}
