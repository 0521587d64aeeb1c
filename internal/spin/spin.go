// Package spin waits actively for a change that another process may be about to make, before the
// caller sleeps.
package spin

import (
	"runtime"
	"sync/atomic"
	"time"
)

// A Spinner waits actively for about as long as it takes to sleep and be woken, if that has paid
// off lately. Waiting actively pays off between processes that answer each other: waking an idle
// processor takes many times as long as most answers. If it has not paid off lately, the Spinner
// tries it only now and then, and ever more rarely. Other goroutines run during the wait. The zero
// value is ready for use. A Spinner is safe for concurrent use.
type Spinner struct {
	left  atomic.Int32 // below 0: minus the number of waits until the next try
	fails atomic.Int32 // in a row
}

const (
	// longest is about the time it takes to sleep and be woken, so a failed try costs no more than
	// that.
	longest = 50 * time.Microsecond
	// retry is the number of waits until the next try after one failure. It doubles with each
	// further failure, up to most.
	retry = 32
	most  = 2048
	// glances is how often Until looks before other goroutines may run. pause is how long Until
	// waits between two looks, so that it does not slow down the process that makes the change.
	glances = 16
	pause   = 30
)

// Until reports whether happened has returned true within the time that it waits.
func (s *Spinner) Until(happened func() bool) bool {
	if left := s.left.Load(); left < 0 {
		s.left.Store(left + 1)
		return false
	}
	for began := time.Now(); time.Since(began) < longest; runtime.Gosched() {
		for range glances {
			if happened() {
				s.fails.Store(0)
				return true
			}
			idle()
		}
	}

	fails := min(s.fails.Add(1), 7)
	s.left.Store(-min(int32(retry)<<(fails-1), most))
	return false
}

// idle takes about ten nanoseconds.
func idle() {
	for range pause {
	}
}
