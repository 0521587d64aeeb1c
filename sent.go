package mp

import (
	"sync"

	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/share"
)

// sent is what the encoded arguments of a batch bring along, until their element has settled:
// files that can be received, and ends of connections that are on their way.
type sent struct {
	mu    sync.Mutex
	items map[int]sentItems // by element
}

type sentItems struct {
	files  []uint64
	movers []codec.Mover
}

func (s *sent) add(i int, items sentItems) {
	if len(items.files) == 0 && len(items.movers) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.items == nil {
		s.items = map[int]sentItems{}
	}
	old := s.items[i]
	s.items[i] = sentItems{append(old.files, items.files...), append(old.movers, items.movers...)}
}

func (s *sent) take(i int) sentItems {
	s.mu.Lock()
	defer s.mu.Unlock()
	items := s.items[i]
	delete(s.items, i)
	return items
}

// settled says that no process will look at the argument of element i any more.
func (s *sent) settled(i int) { s.take(i).lose() }

// recall says that no process has looked at the argument of element i.
func (s *sent) recall(i int) { s.take(i).recall() }

// lose ends the items: they may have been sent, but will no longer be received.
func (items sentItems) lose() {
	share.ForgetFiles(items.files)
	for _, m := range items.movers {
		m.Lose()
	}
}

// recall takes back what was not sent.
func (items sentItems) recall() {
	share.ForgetFiles(items.files)
	for _, m := range items.movers {
		m.Return()
	}
}

// moved reports whether the argument of element i brings along what can be sent only once.
func (s *sent) moved(i int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.items[i].movers) > 0
}
