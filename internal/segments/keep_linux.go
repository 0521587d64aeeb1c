package segments

import "slices"

// A keep is the reason why a carrier keeps a segment alive.
type keep struct {
	times int     // number of messages that still need it
	ends  int     // how many of these end the segment, which was created for them
	owned bool    // kept as Owned, until ReleaseOwned
	by    *client // the client that kept it first, and pays for it
}

// Keep implements Directory.
func (s *Server) Keep(carrier, id uint64, how Keeping) error { return s.keep(s.root, carrier, id, how) }

func (s *Server) keep(by *client, carrier, id uint64, how Keeping) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, c := s.segments[id], s.segments[carrier]
	if g == nil || c == nil || g == c || by.dead || !g.knownTo(by) || !c.knownTo(by) {
		return ErrGone
	}

	k, there := g.keptBy.m[c]
	switch {
	case how == Message && (g.owner != by || g.arena):
		return ErrGone
	case !there && by != s.root && (by.keeps >= maxKeeps || !s.admits(by, keeps, 1)):
		return errTooManyOf
	case !there:
		k.by = by
		s.countKeep(k, 1)
	}

	switch how {
	case Owned:
		k.owned = true
	case Message:
		k.ends++
		fallthrough
	default:
		k.times++
	}

	g.keptBy.put(c, k)
	c.carries.put(g, struct{}{})
	s.reach(g)
	return nil
}

// countKeep counts a keep for the client that pays for it. The caller must hold s.mu.
func (s *Server) countKeep(k keep, n int) {
	k.by.keeps += n
	s.use(k.by, keeps, n)
}

// uncount undoes countKeep. The caller must hold s.mu.
func (s *Server) uncount(k keep) {
	if k.by != nil {
		s.countKeep(k, -1)
	}
}

// kept stores what is left of a carrier's reason to keep g. The caller must hold s.mu.
func (s *Server) kept(g, carrier *segment, k keep) {
	if k.times > 0 || k.owned {
		g.keptBy.put(carrier, k)
		return
	}
	s.uncount(k)
	g.keptBy.drop(carrier)
	carrier.carries.drop(g)
}

// Release implements Directory.
func (s *Server) Release(carrier, id uint64, end bool) { s.release(s.root, carrier, id, end) }

func (s *Server) release(by *client, carrier, id uint64, end bool) {
	s.mu.Lock()
	g, c := s.segments[id], s.segments[carrier]
	if g == nil || c == nil || !c.knownTo(by) || g.keptBy.m[c].times == 0 {
		s.mu.Unlock()
		return
	}

	k := g.keptBy.m[c]
	end = end && k.ends > 0
	k.times--
	if end || k.ends > k.times {
		k.ends--
	}
	s.kept(g, c, k)

	ours := false
	if end {
		ours = s.endMessage(g)
	} else {
		s.forgetIfUnused(g)
	}

	s.unlink()
	s.mu.Unlock()
	if ours {
		s.gone(id)
	}
}

// endMessage removes a segment that was published for a message, and also tells the segment's
// owner, which counts the message until then. It reports whether the root process must be told. The
// caller must hold s.mu, and must call unlink before it returns.
func (s *Server) endMessage(g *segment) (ours bool) {
	if s.segments[g.id] != g {
		return false
	}
	ours = s.removeForAll(g)
	switch g.owner {
	case nil:
	case s.root:
		ours = true
	default:
		g.owner.say(message{op: opGone, id: g.id, fd: -1})
	}
	return ours
}

// Orphans returns the arenas of dead clients that exist only because of messages.
func (s *Server) Orphans() (ids []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var n step
	for id, g := range s.orphans {
		if g.arena && len(g.keptBy.m)+len(g.carries.m) > 0 {
			ids = append(ids, id)
		}
		s.pause(&n)
	}
	return ids
}

// WithSegment calls f with a segment if it exists and is memory. WithSegment does not hold s.mu
// during the call.
func (s *Server) WithSegment(id uint64, f func(fd, size int)) {
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

// ReleaseOwned records that segments from the creator of arena, a dead client, are no longer needed
// as Owned.
func (s *Server) ReleaseOwned(arena uint64, ids []uint64) {
	ids = slices.Compact(slices.Sorted(slices.Values(ids))) // the arena may repeat them
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.orphans[arena]
	if a == nil {
		return
	}

	var n step
	for _, id := range ids {
		s.pause(&n)
		g := s.orphans[id]
		if g == nil || g.by != a.by {
			continue
		}
		for carrier := range g.keptBy.m {
			s.pause(&n)
			if s.orphans[id] != g {
				break
			}

			if k, ok := g.keptBy.m[carrier]; ok && k.owned {
				k.owned = false
				s.kept(g, carrier, k)
			}
		}
		s.forgetIfUnused(g)
	}
	s.unlink()
}
