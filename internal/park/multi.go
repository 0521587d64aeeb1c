package park

import "context"

// A Multi is one goroutine's wait at several sites.
type Multi struct {
	lot   *Lot
	main  waiter
	parts []part
}

type part struct {
	site *Site
	w    *Waiter
}

// NewMulti makes a Multi that is at no site yet.
func NewMulti(l *Lot) *Multi {
	return &Multi{lot: l, main: waiter{bell: make(chan struct{}, 1)}}
}

// Enter puts it into a site's queue. From then on a change is not missed.
func (m *Multi) Enter(s *Site) {
	w := &Waiter{waiter{of: &m.main}}
	m.parts = append(m.parts, part{s, w})
	s.enter(w)
}

// Call makes Sleep return. Any goroutine may call it.
func (m *Multi) Call() {
	m.lot.mu.Lock()
	defer m.lot.mu.Unlock()
	m.lot.call(&m.main)
}

// Look says that the words are about to be looked at: what changes from now on makes the
// next Sleep return.
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

// Sleep returns nil when a word may have changed since Look, or after a Call, and the context's
// error when that ends.
func (m *Multi) Sleep(ctx context.Context) error { return m.lot.sleep(ctx, &m.main) }

// Leave ends what Enter has begun at all sites.
func (m *Multi) Leave() {
	for _, p := range m.parts {
		p.site.Leave(p.w)
	}
	m.parts = nil
}
