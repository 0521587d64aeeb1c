package mp

import (
	"sync"

	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/objects"
)

// sent holds the files and moving objects in the encoded arguments of a batch, until their elements
// are settled.
type sent struct {
	mu    sync.Mutex
	items map[int]sentItems // by element
}

type sentItems struct {
	files  []uint64 // numbers from objects.SendFile
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

// settled must be called when no process will read the argument of element i again.
func (s *sent) settled(i int) { s.take(i).lose() }

// recall takes back the items of element i, whose argument was not sent.
func (s *sent) recall(i int) { s.take(i).recall() }

// lose releases the items. They may have been sent, but no process will receive them.
func (items sentItems) lose() {
	objects.ForgetFiles(items.files)
	for _, m := range items.movers {
		m.Lose()
	}
}

// recall takes back the items, which were not sent.
func (items sentItems) recall() {
	objects.ForgetFiles(items.files)
	for _, m := range items.movers {
		m.Return()
	}
}

// moved reports whether the argument of element i contains moving objects, which can be sent only
// once.
func (s *sent) moved(i int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.items[i].movers) > 0
}
