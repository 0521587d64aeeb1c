package insight

import (
	"fmt"

	"github.com/google/pprof/profile"
)

// A merger merges profiles of one kind as they come, so that what they have in common is kept once.
type merger struct {
	all     *profile.Profile
	weight  int // of all
	pending []*profile.Profile
	more    int // of those pending
	longest int64
}

// enough is the weight of the pending profiles from which on they are merged, if it is also that of
// those merged before: so each is merged a few times, however many there are.
const enough = 32 << 20

// add takes a profile, or returns an error if there is no room for it.
func (m *merger) add(p *profile.Profile) error {
	w := weightOf(p)
	if m.weight+m.more+w > maxMerged {
		if err := m.merge(); err != nil {
			return err
		}
		if m.weight+w > maxMerged {
			return fmt.Errorf("the profiles of all workers would take more than %d bytes", maxMerged)
		}
	}
	m.longest = max(m.longest, p.DurationNanos)
	m.pending = append(m.pending, p)
	if m.more += w; m.more >= max(enough, m.weight) {
		return m.merge()
	}
	return nil
}

// merge merges those pending into all.
func (m *merger) merge() error {
	if len(m.pending) == 0 {
		return nil
	}
	parts := m.pending
	m.pending, m.more = nil, 0
	if m.all != nil {
		parts = append([]*profile.Profile{m.all}, parts...)
	}
	all, err := profile.Merge(parts)
	if err != nil {
		return err
	}
	m.all, m.weight = all, weightOf(all)
	return nil
}

// merged returns all in one, nil if there is none.
func (m *merger) merged() (*profile.Profile, error) {
	if err := m.merge(); err != nil {
		return nil, err
	}
	if m.all != nil {
		m.all.DurationNanos = m.longest // they measured at the same time
	}
	return m.all, nil
}
