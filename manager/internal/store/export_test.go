package store

import (
	"fmt"
	"maps"
	"time"
)

// Check checks the counts of references and bytes of each object. If a count is wrong, it returns
// an error that says where.
func (s *Store) Check() error {
	s.mu.Lock()
	defer s.mu.Unlock()

	refs, size := map[uint64]int{}, 0
	for c := range s.clients {
		size += hasSize * len(c.has)
		for id, n := range c.has {
			if n < 1 || s.objects[id] == nil {
				return fmt.Errorf("a client has %d of object %d", n, id)
			}
			refs[id]++
		}
		waiting := 0
		for call, p := range c.calls {
			waiting += p.size
			if p.call != call || p.c != c {
				return fmt.Errorf("call %d is %d", call, p.call)
			}
		}
		if c.waiting < waiting || c.pending < len(c.calls) {
			return fmt.Errorf("calls of %d bytes wait, and %d were counted", waiting, c.waiting)
		}
	}

	for name, o := range s.names {
		if o.name != name {
			return fmt.Errorf("%q is %q", name, o.name)
		}
		refs[o.id]++
		size += sizeOfName(name)
	}

	for e := s.lingers.all.Front(); e != nil; e = e.Next() {
		refs[e.Value.(lingerer).o.id]++
	}

	edges := 0
	for id, o := range s.objects {
		size += objectSize
		edges += len(o.contains)
		for in, n := range o.contains {
			refs[in] += n
			if s.objects[in].level <= o.level {
				return fmt.Errorf("object %d, at level %d, is in %d, at %d", in, s.objects[in].level, id, o.level)
			}
		}
		inside := map[uint64]int{}
		count := func(v value) {
			size += v.size()
			for _, id := range v.refs {
				inside[id]++
			}
		}

		switch b := o.body.(type) {
		case *dict:
			size += b.keySize(count)
		case *set:
			size += b.keySize(count)
		case *elements:
			for _, c := range b.all {
				count(c.v)
			}
		case *single:
			count(b.v)
		case *cond:
			inside[b.lock.id]++
		case *queue:
			for e := b.all.Front(); e != nil; e = e.Next() {
				count(e.Value.(value))
			}
			for e := b.putters.Front(); e != nil; e = e.Next() {
				count(e.Value.(*pending).value)
			}
		}
		if !maps.Equal(inside, o.contains) {
			return fmt.Errorf("%v are in object %d, which should be %v", inside, id, o.contains)
		}
	}

	for id, o := range s.objects {
		if o.refs != refs[id] {
			return fmt.Errorf("object %d has %d references, and there are %d", id, o.refs, refs[id])
		}
	}

	if edges != s.edges {
		return fmt.Errorf("%d objects in objects, and %d were counted", edges, s.edges)
	}
	if size != s.bytes {
		return fmt.Errorf("%d bytes, and %d were counted", size, s.bytes)
	}

	return nil
}

func (d *entries) keySize(count func(v value)) (size int) {
	for key, e := range d.at {
		size += len(key) + keySize
		count(e.v)
	}
	return size
}

// Lingering returns how many objects are lingering.
func (s *Store) Lingering() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lingers.all.Len()
}

// StopClock stops the clock of the budgets.
func (s *Store) StopClock() {
	now := time.Now()
	s.now = func() time.Time { return now }
}

// Stale reports whether levels may be higher than necessary.
func (s *Store) Stale() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stale
}

// Sequential numbers objects from 1 on, so that random numbers hit them.
func (s *Store) Sequential() {
	last := uint64(0)
	s.number = func() uint64 { last++; return last }
}
