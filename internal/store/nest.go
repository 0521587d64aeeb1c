package store

import "fmt"

// Objects in objects have levels: what is in one is at a higher level. So nothing is in itself,
// however indirectly, and everything is freed some time; and nothing is deeper than the limit.
// A level may be higher than it must be, since what was once deep stays there until somebody
// asks for more.

// contain notes that objects are in o, or that there are too many levels.
func (s *Store) contain(o *object, refs []uint64) error {
	for i, id := range refs {
		child := s.objects[id]
		if !s.raise(child, o) && !s.raiseAfresh(child, o) {
			s.release(o, refs[:i])
			return fmt.Errorf("%w: objects in objects, %d deep, or one that is in itself", ErrLimit, s.nesting())
		}
		if o.contains == nil {
			o.contains = map[uint64]int{}
		}
		o.contains[id]++
		child.refs++
	}
	return nil
}

// release notes that they are not in o any more. sweep is to be called then.
func (s *Store) release(o *object, refs []uint64) {
	for _, id := range refs {
		if o.contains[id]--; o.contains[id] == 0 {
			delete(o.contains, id)
		}
		s.unref(id)
	}
}

func (s *Store) nesting() int {
	if s.limits.Nesting > 0 {
		return s.limits.Nesting
	}
	return 1 << 20
}

// raise makes the level of an object higher than that of one in which it will be, and the levels of
// what is in it accordingly, or none.
func (s *Store) raise(o, in *object) bool {
	before := map[*object]int{}
	type step struct {
		o     *object
		level int
	}
	for steps := []step{{o, in.level + 1}}; len(steps) > 0; {
		at := steps[len(steps)-1]
		steps = steps[:len(steps)-1]
		if at.o == nil || at.o != in && at.o.level >= at.level {
			continue
		}
		if at.o == in || at.level > s.nesting() {
			for o, level := range before {
				o.level = level
			}
			return false
		}
		if _, ok := before[at.o]; !ok {
			before[at.o] = at.o.level
		}
		at.o.level = at.level
		for id := range at.o.contains {
			steps = append(steps, step{s.objects[id], at.level + 1})
		}
	}
	return true
}

// raiseAfresh is raise when all levels have been made as low as they can be.
func (s *Store) raiseAfresh(o, in *object) bool {
	above := map[*object]int{} // how many are to be looked at before
	for _, o := range s.objects {
		o.level = 0
		for id := range o.contains {
			above[s.objects[id]]++
		}
	}
	var ready []*object
	for _, o := range s.objects {
		if above[o] == 0 {
			ready = append(ready, o)
		}
	}
	for len(ready) > 0 {
		o := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		for id := range o.contains {
			child := s.objects[id]
			child.level = max(child.level, o.level+1)
			if above[child]--; above[child] == 0 {
				ready = append(ready, child)
			}
		}
	}
	return s.raise(o, in)
}
