//go:build linux

package pool

import "slices"

// beginSpares starts to keep spares, once the first worker serves.
func (p *Pool) beginSpares() {
	if p.cfg.Spares == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.supervisors.Add(1)
	go p.superviseSpares()
}

// superviseSpares starts a spare whenever one is missing. Failures do no harm: without spares,
// slots are filled with new workers.
func (p *Pool) superviseSpares() {
	defer p.supervisors.Done()
	for failed := 0; ; {
		missing, ending := p.missingSpares()
		switch {
		case ending:
			return
		case !missing:
			select {
			case <-p.needs:
			case <-p.closing:
			}
			continue
		case failed > 0:
			p.pause(p.cfg.Restart.wait(failed))
		}

		w, err := p.start(0, func() {})
		if err != nil {
			failed++
			p.logNoSpare(failed, err)
			continue
		}
		failed = 0
		p.addSpare(w)
	}
}

func (p *Pool) missingSpares() (missing, ending bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.spares) < p.cfg.Spares, p.closed || p.draining
}

func (p *Pool) logNoSpare(failed int, err error) {
	p.mu.Lock()
	p.unspared.note(failed, err)
	p.mu.Unlock()
	if p.cfg.Logger != nil && failed == p.cfg.Restart.Attempts {
		p.cfg.Logger.Error("mp: no spare worker can be started", "error", err)
	}
}

// addSpare keeps a worker ready as a spare. If the worker dies, addSpare requests another.
func (p *Pool) addSpare(w *worker) {
	p.mu.Lock()
	ending := p.closed || p.draining
	if !ending {
		p.spares = append(p.spares, w)
		p.unspared = trouble{}
		p.changed()
	}
	p.mu.Unlock()

	if ending {
		w.discard()
		return
	}

	p.supervisors.Add(1)
	go func() {
		defer p.supervisors.Done()
		select {
		case <-w.proc.Done():
			if p.removeSpare(w) {
				w.discard()
				p.needSpare()
			}
		case <-w.taken:
		}
	}()
}

func (p *Pool) removeSpare(w *worker) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.spares, w)
	if i >= 0 {
		p.spares = slices.Delete(p.spares, i, i+1)
	}
	return i >= 0
}

// takeSpare returns a spare to fill a slot, or nil if there is none.
func (p *Pool) takeSpare() *worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.spares) == 0 {
		return nil
	}
	w := p.spares[0]
	p.spares = slices.Delete(p.spares, 0, 1)
	close(w.taken)
	p.needSpare()
	return w
}

func (p *Pool) needSpare() {
	select {
	case p.needs <- struct{}{}:
	default:
	}
}

// dismissSpares tells the spares to tear down, because a spare has no pump that would tell it. It
// returns the spares. The caller must hold p.mu.
func (p *Pool) dismissSpares() []*worker {
	spares := slices.Clone(p.spares)
	for _, w := range spares {
		_ = w.link.Stop()
	}
	return spares
}
