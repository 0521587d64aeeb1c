package segments

// budget returns the budget of a resource.
func (s *Server) budget(r resource) *budget {
	switch r {
	case files:
		return &s.files
	case keeps:
		return &s.keeps
	case holds:
		return &s.holds
	}
	return &s.slots
}

// use counts what a client has got or given back, for the client and for all clients above it. The
// root process is not counted. The caller must hold s.mu.
func (s *Server) use(c *client, r resource, n int) {
	if c == s.root {
		return
	}
	s.budget(r).used += n
	for ; c != s.root; c = c.parent {
		c.all[r] += n
	}
}

// admits reports whether a client may have more of a resource. The caller must hold s.mu.
func (s *Server) admits(c *client, r resource, more int) bool {
	b := s.budget(r)
	if b.used+more > b.most {
		return false
	}
	_, ok := s.room(c, r, more)
	return ok
}

// room returns how much a client may have, and whether that is enough for it and for all clients
// above it. The caller must hold s.mu.
func (s *Server) room(c *client, r resource, more int) (most int, ok bool) {
	b := s.budget(r)
	if c == s.root {
		return b.most - b.reserve, true
	}
	most, ok = s.room(c.parent, r, more)
	all := b.used
	if c.parent != s.root {
		all = c.parent.all[r]
	}
	most = part(most - (all - c.all[r]))
	return most, ok && c.all[r]+more <= max(most, b.sure)
}
