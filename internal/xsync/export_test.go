package xsync

import "time"

// StopInside leaves the Ring in the state of a process that was stopped, or died, in the middle of
// a put and in the middle of a get.
func (r *Ring) StopInside() {
	for _, l := range []*Mutex{&r.put, &r.get} {
		if ok, err := l.TryLock(); !ok || err != nil {
			panic("somebody is inside")
		}
	}
}

// Moved returns how many records have been put, received and marked as done.
func (r *Ring) Moved() (put, got, done uint64) {
	head, tail := r.positions()
	return tail.count(), head.count(), r.done.Load()
}

// Place returns the place of the next record.
func (r *Ring) Place() int {
	_, tail := r.positions()
	return tail.place()
}

// Age makes the Ring look as if n records had been put, received and marked as done.
func (r *Ring) Age(n uint64) {
	r.tail.Store(born | n&countMask<<placeBits)
	r.head.Store(r.tail.Load())
	r.done.Store(position(r.tail.Load()).count())
}

// Stuck sets how long the Try methods wait for a stopped process, until back is called.
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

// RelockTimeout sets how long Cond.Wait waits for its lock after its context has ended, until back
// is called.
func RelockTimeout(d time.Duration) (back func()) {
	before := relockTimeout
	relockTimeout = d
	return func() { relockTimeout = before }
}
