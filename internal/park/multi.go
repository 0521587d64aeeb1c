package park

import "context"

// A Multi lets one goroutine wait in several queues.
type Multi struct {
	table *WaitTable
	main  waiter
	parts []part
}

type part struct {
	queue *WaitQueue
	w     *Waiter
}

// NewMulti creates a Multi that waits in no queue yet.
func NewMulti(l *WaitTable) *Multi {
	return &Multi{table: l, main: waiter{wake: make(chan struct{}, 1)}}
}

// Enter puts the Multi into the queue of s. From then on, the Multi misses no change.
func (m *Multi) Enter(s *WaitQueue) {
	w := &Waiter{waiter{of: &m.main}}
	m.parts = append(m.parts, part{s, w})
	s.enter(w)
}

// Call makes Sleep return. It is safe for concurrent use.
func (m *Multi) Call() {
	m.table.mu.Lock()
	defer m.table.mu.Unlock()
	m.table.call(&m.main)
}

// Prepare must be called before the caller looks at the words. The next Sleep returns if one of the
// words changes after that.
func (m *Multi) Prepare() {
	m.table.mu.Lock()
	for _, p := range m.parts {
		p.w.w.called = false
	}
	m.table.mu.Unlock()
	for _, p := range m.parts {
		p.queue.announce()
	}
}

// Sleep returns nil when a word may have changed since Prepare, or after a Call, and ctx's error
// when ctx ends.
func (m *Multi) Sleep(ctx context.Context) error { return m.table.sleep(ctx, &m.main) }

// Leave takes the Multi out of all queues.
func (m *Multi) Leave() {
	for _, p := range m.parts {
		p.queue.Leave(p.w)
	}
	m.parts = nil
}
