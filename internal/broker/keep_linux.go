package broker

// keep is why a carrier lets a segment live.
type keep struct {
	times int     // number of messages that still need it
	ends  int     // how many of these end the segment, which was made for them
	held  bool    // kept as Held, until LetGo
	by    *client // the client that kept it first, and pays for it
}

// Keep is Directory's.
func (s *Server) Keep(carrier, id uint64, how Keeping) error { return s.keep(s.root, carrier, id, how) }

func (s *Server) keep(by *client, carrier, id uint64, how Keeping) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, c := s.segments[id], s.segments[carrier]
	if g == nil || c == nil || g == c || by.dead || !g.met(by) || !c.met(by) {
		return ErrGone
	}
	k, there := g.keptBy[carrier]
	switch {
	case how == Message && (g.owner != by || g.arena):
		return ErrGone
	case !there && by != s.root && (by.keeps >= maxKeeps || !s.keeps.admits(by.keeps, 1)):
		return errTooManyOf
	case !there:
		k.by = by
		s.countKeep(k, 1)
	}
	switch how {
	case Held:
		k.held = true
	case Message:
		k.ends++
		fallthrough
	default:
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

// countKeep counts a keep for the client that pays for it; under the lock.
func (s *Server) countKeep(k keep, n int) {
	k.by.keeps += n
	if k.by != s.root {
		s.keeps.used += n
	}
}

// uncount is the counterpart of countKeep; under the lock.
func (s *Server) uncount(k keep) {
	if k.by != nil {
		s.countKeep(k, -1)
	}
}

// kept notes what is left of a carrier's reasons; under the lock.
func (s *Server) kept(g *segment, carrier uint64, k keep) {
	if k.times > 0 || k.held {
		g.keptBy[carrier] = k
		return
	}
	s.uncount(k)
	delete(g.keptBy, carrier)
	if c := s.segments[carrier]; c != nil {
		delete(c.carries, g.id)
	}
}

// Release is Directory's.
func (s *Server) Release(carrier, id uint64, end bool) { s.release(s.root, carrier, id, end) }

func (s *Server) release(by *client, carrier, id uint64, end bool) {
	s.mu.Lock()
	g, c := s.segments[id], s.segments[carrier]
	if g == nil || c == nil || !c.met(by) || g.keptBy[carrier].times == 0 {
		s.mu.Unlock()
		return
	}
	k := g.keptBy[carrier]
	end = end && k.ends > 0
	k.times--
	if end || k.ends > k.times {
		k.ends--
	}
	s.kept(g, carrier, k)
	ours := false
	if end {
		ours = s.removeForAll(g)
	} else {
		s.forgetIfUnused(g)
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

// Look calls f with a segment, if it exists and is memory. f runs without the lock.
func (s *Server) Look(id uint64, f func(fd, size int)) {
	s.mu.Lock()
	g := s.segments[id]
	if g == nil || g.size == 0 {
		s.mu.Unlock()
		return
	}
	g.file.refs++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.unref(g.file)
	}()
	f(g.file.fd, g.size)
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
			s.kept(g, carrier, k)
		}
		s.forgetIfUnused(g)
	}
}

// LetGoOfCircles forgets what lives on only because of messages in what lives on for such a reason,
// and so on, where nobody can get any of them.
func (s *Server) LetGoOfCircles() {
	s.mu.Lock()
	defer s.mu.Unlock()
	within := map[*segment]bool{}
	var next []*segment
	for _, g := range s.segments {
		if g.had() {
			within[g] = true
			next = append(next, g)
		}
	}
	for len(next) > 0 {
		g := next[len(next)-1]
		next = next[:len(next)-1]
		for id := range g.carries {
			if o := s.segments[id]; o != nil && !within[o] {
				within[o] = true
				next = append(next, o)
			}
		}
	}
	for _, g := range s.orphans {
		if !within[g] {
			s.remove(g)
		}
	}
}
