package insight

import (
	"fmt"

	"github.com/google/pprof/profile"
)

// merger merges profiles of one kind as they arrive, so that common parts are stored once.
type merger struct {
	all     *profile.Profile
	weight  int // weight of all
	pending []*profile.Profile
	more    int // weight of pending
	longest int64
}

// mergeAt is the minimum weight at which pending profiles are merged. They must also weigh as much
// as all profiles that are merged already, so that each profile is merged only a few times, however
// many there are.
const mergeAt = 32 << 20

// add adds a profile, or returns an error if there is no room for it.
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
	if m.more += w; m.more >= max(mergeAt, m.weight) {
		return m.merge()
	}
	return nil
}

// merge merges the pending profiles into all.
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

// merged returns one profile made from all that were added, or nil if there are none.
func (m *merger) merged() (*profile.Profile, error) {
	if err := m.merge(); err != nil {
		return nil, err
	}
	if m.all != nil {
		m.all.DurationNanos = m.longest // they measured at the same time
	}
	return m.all, nil
}
