package park

import "context"

// A Multi lets one goroutine wait in several queues.
type Multi struct {
	lot   *Lot
	main  waiter
	parts []part
}

type part struct {
	site *Site
	w    *Waiter
}

// NewMulti creates a Multi that waits in no queue yet.
func NewMulti(l *Lot) *Multi {
	return &Multi{lot: l, main: waiter{bell: make(chan struct{}, 1)}}
}

// Enter puts the Multi into the queue of s. From then on it misses no change.
func (m *Multi) Enter(s *Site) {
	w := &Waiter{waiter{of: &m.main}}
	m.parts = append(m.parts, part{s, w})
	s.enter(w)
}

// Call makes Sleep return. It is safe for concurrent use.
func (m *Multi) Call() {
	m.lot.mu.Lock()
	defer m.lot.mu.Unlock()
	m.lot.call(&m.main)
}

// Look must be called before the caller looks at the words. The next Sleep returns if one of them
// changes after that.
func (m *Multi) Look() {
	m.lot.mu.Lock()
	for _, p := range m.parts {
		p.w.w.called = false
	}
	m.lot.mu.Unlock()
	for _, p := range m.parts {
		p.site.announce()
	}
}

// Sleep returns nil when a word may have changed since Look, or after a Call, and ctx's error when
// ctx ends.
func (m *Multi) Sleep(ctx context.Context) error { return m.lot.sleep(ctx, &m.main) }

// Leave takes the Multi out of all queues.
func (m *Multi) Leave() {
	for _, p := range m.parts {
		p.site.Leave(p.w)
	}
	m.parts = nil
}
