package store

import (
	"errors"
	"fmt"
	"time"
)

// Each object has a level, which is higher than the level of every object that contains it. So no
// object contains itself, even indirectly; every object is freed eventually; and no object is
// nested deeper than the limit. A level may be higher than necessary, since levels are lowered only
// when the limit is reached.

// contain notes that o contains objects. It returns an error if there would be a cycle or too many
// levels.
func (s *Store) contain(o *object, refs []uint64) error {
	for i, id := range refs {
		if err := s.below(s.objects[id], o); err != nil {
			s.release(o, refs[:i])
			return err
		}
		child := s.objects[id]
		if o.contains == nil {
			o.contains = map[uint64]int{}
		}

		if o.contains[id]++; o.contains[id] == 1 {
			s.edges++
			o.most = max(o.most, len(o.contains))
		}
		child.refs++
	}

	return nil
}

// release notes that o no longer contains objects. The caller must call sweep afterwards.
func (s *Store) release(o *object, refs []uint64) {
	if len(refs) == 0 {
		return
	}
	for _, id := range refs {
		if o.contains[id]--; o.contains[id] == 0 {
			delete(o.contains, id)
			s.edges--
			s.stale = true
		}
		s.unref(id)
	}
	o.contains = smaller(o.contains, &o.most)
}

func (s *Store) nesting() int {
	if s.limits.Nesting > 0 {
		return s.limits.Nesting
	}
	return 1 << 20
}

var (
	errCycle = fmt.Errorf("%w: an object would contain itself", ErrLimit)
	errDeep  = fmt.Errorf("%w: objects are nested too deep", ErrLimit)
	errBusy  = fmt.Errorf("%w: objects that contain so many objects cannot be put into others so often: try again in a second", ErrLimit)
)

// below raises the level of an object above the level of the object that will contain it.
func (s *Store) below(o, in *object) error {
	err := s.raise(o, in)
	if !errors.Is(err, errDeep) || !s.stale {
		return err
	}
	if err := s.lower(); err != nil {
		return err
	}
	return s.raise(o, in)
}

// A budget bounds how long other clients have to wait while a client's requests walk through nested
// objects. It grants a number of steps per second. Besides these, a few steps are free for each
// request.
type budget struct {
	left  int
	since time.Time
}

const (
	freeSteps   = 1000
	firstSteps  = 1 << 16 // for a new client; few, so that a client gains little by reconnecting
	maxWalked   = 2 << 20 // maximum that can be saved up; enough for as many objects as the default limit allows
	walkedASec  = 1 << 20
	stepsAtOnce = 1000 // between two checks of the budget
)

// spend takes n steps from the budget, and reports whether the budget had that many.
func (b *budget) spend(n int, now time.Time) bool {
	if b.since.IsZero() {
		b.left = firstSteps
	} else {
		b.left = min(b.left+int(min(now.Sub(b.since), 4*time.Second)*walkedASec/time.Second), maxWalked)
	}
	b.since = now
	if b.left < n {
		return false
	}
	b.left -= n
	return true
}

// mayWalk takes n steps from the budget of the acting client.
func (s *Store) mayWalk(n int) error {
	if s.acts != nil && !s.acts.walks.spend(n, s.now()) {
		return errBusy
	}
	return nil
}

type step struct {
	o     *object
	level int
}

// raise raises the level of an object above the level of the object that will contain it, and the
// levels of the object's contents accordingly. On error it changes no levels.
func (s *Store) raise(o, in *object) error {
	before := map[*object]int{}
	err := s.raiseAll(o, in, before)
	if err != nil {
		for o, level := range before {
			o.level = level
		}
	}
	return err
}

func (s *Store) raiseAll(o, in *object, before map[*object]int) error {
	n := 0
	for steps := []step{{o, in.level + 1}}; len(steps) > 0; {
		at := steps[len(steps)-1]
		steps = steps[:len(steps)-1]
		if n++; n%stepsAtOnce == 0 && n >= freeSteps {
			if err := s.mayWalk(stepsAtOnce); err != nil {
				return err
			}
		}

		switch {
		case at.o == in:
			return errCycle
		case at.o == nil || at.o.level >= at.level:
			continue
		case at.level > s.nesting():
			return errDeep
		}

		if _, ok := before[at.o]; !ok {
			before[at.o] = at.o.level
		}
		at.o.level = at.level
		for id := range at.o.contains {
			steps = append(steps, step{s.objects[id], at.level + 1})
		}
	}

	return nil
}

// lower makes all levels as low as possible. On error it changes no levels.
func (s *Store) lower() error {
	if steps := len(s.objects) + s.edges; steps > freeSteps {
		if err := s.mayWalk(steps); err != nil {
			return err
		}
	}
	s.stale = false
	above := map[*object]int{} // the number of containers that must be visited first
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

	return nil
}
