//go:build linux

package crew

import "slices"

// beginSpares starts to keep spares, once the first worker serves.
func (c *Crew) beginSpares() {
	if c.cfg.Spares == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.keepers.Add(1)
	go c.keepSpares()
}

// keepSpares starts a spare whenever one is missing. Failures do no harm: without spares, slots are
// filled with new workers.
func (c *Crew) keepSpares() {
	defer c.keepers.Done()
	for failed := 0; ; {
		missing, ending := c.missingSpares()
		switch {
		case ending:
			return
		case !missing:
			select {
			case <-c.needs:
			case <-c.closing:
			}
			continue
		case failed > 0:
			c.pause(c.cfg.Restart.wait(failed))
		}

		m, err := c.start(0, func() {})
		if err != nil {
			failed++
			c.complainOfSpare(failed, err)
			continue
		}
		failed = 0
		c.addSpare(m)
	}
}

func (c *Crew) missingSpares() (missing, ending bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.spares) < c.cfg.Spares, c.closed || c.draining
}

func (c *Crew) complainOfSpare(failed int, err error) {
	c.mu.Lock()
	c.unspared.note(failed, err)
	c.mu.Unlock()
	if c.cfg.Logger != nil && failed == c.cfg.Restart.Attempts {
		c.cfg.Logger.Error("mp: no spare worker can be started", "error", err)
	}
}

// addSpare keeps a worker ready and requests another one if it dies.
func (c *Crew) addSpare(m *member) {
	c.mu.Lock()
	ending := c.closed || c.draining
	if !ending {
		c.spares = append(c.spares, m)
		c.unspared = trouble{}
		c.changed()
	}
	c.mu.Unlock()

	if ending {
		m.discard()
		return
	}

	c.keepers.Add(1)
	go func() {
		defer c.keepers.Done()
		select {
		case <-m.proc.Done():
			if c.removeSpare(m) {
				m.discard()
				c.needSpare()
			}
		case <-m.taken:
		}
	}()
}

func (c *Crew) removeSpare(m *member) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.spares, m)
	if i >= 0 {
		c.spares = slices.Delete(c.spares, i, i+1)
	}
	return i >= 0
}

// takeSpare returns a spare to fill a slot, or nil if there is none.
func (c *Crew) takeSpare() *member {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.spares) == 0 {
		return nil
	}
	m := c.spares[0]
	c.spares = slices.Delete(c.spares, 0, 1)
	close(m.taken)
	c.needSpare()
	return m
}

func (c *Crew) needSpare() {
	select {
	case c.needs <- struct{}{}:
	default:
	}
}

// dismissSpares tells the spares to tear down. Unlike workers in slots, they have no pump that does
// so. The caller must hold c.mu.
func (c *Crew) dismissSpares() []*member {
	spares := slices.Clone(c.spares)
	for _, m := range spares {
		_ = m.link.Stop()
	}
	return spares
}
