package xsync

import "time"

// StopInside leaves the Ring as a process does that is stopped, or dies, in the middle of
// putting and of getting.
func (r *Ring) StopInside() {
	for _, l := range []*Mutex{&r.put, &r.get} {
		if ok, err := l.TryLock(); !ok || err != nil {
			panic("somebody is inside")
		}
	}
}

// Moved is how many records have been put, got and dealt with.
func (r *Ring) Moved() (put, got, done uint64) {
	head, tail := r.positions()
	return tail.count(), head.count(), r.done.Load()
}

// Place is where the next record will lie.
func (r *Ring) Place() int {
	_, tail := r.positions()
	return tail.place()
}

// Age makes the Ring look as if n records had been put, got and dealt with.
func (r *Ring) Age(n uint64) {
	r.tail.Store(born | n&countMask<<placeBits)
	r.head.Store(r.tail.Load())
	r.done.Store(position(r.tail.Load()).count())
}

// Stuck changes how long a try waits for who is stopped, until it is called back.
func Stuck(d time.Duration) (back func()) {
	before := stuck
	stuck = d
	return func() { stuck = before }
}

// GoOn undoes StopInside.
func (r *Ring) GoOn() {
	_ = r.put.Unlock()
	_ = r.get.Unlock()
}

// RelockPatience sets how long Cond.Wait waits for its lock after its context has ended, until back
// is called.
func RelockPatience(d time.Duration) (back func()) {
	before := relockPatience
	relockPatience = d
	return func() { relockPatience = before }
}
