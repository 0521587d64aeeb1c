// Package spin looks for what another process may be about to do, before its caller sleeps.
package spin

import (
	"runtime"
	"sync/atomic"
	"time"
)

// A Spinner looks for as long as it takes to sleep and be woken where that has paid lately, as it
// does for those who answer each other: to wake an idle processor takes many times as long as
// most answers. Where it has not paid it does not look, but for a try now and then, ever more
// seldom. Other goroutines run meanwhile. The zero value is ready for use, by many goroutines.
type Spinner struct {
	left  atomic.Int32 // below 0: how many waits it is until the next try
	fails atomic.Int32 // in a row
}

const (
	// longest is about what it takes to sleep and be woken: nobody loses more than that.
	longest = 50 * time.Microsecond
	// retry is after how many waits it is tried again where it did not pay, once; most where it
	// often did not.
	retry = 32
	most  = 2048
	// glances is how often it looks before others may run, pause how long it does not look in
	// between, so that who changes what is looked at is not held up.
	glances = 16
	pause   = 30
)

// Until reports whether it has happened.
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

// idle passes some ten nanoseconds.
func idle() {
	for range pause {
	}
}
