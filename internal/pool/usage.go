//go:build linux

package pool

import (
	"time"
)

// usage tracks where a worker's time goes. The pool's lock guards it.
type usage struct {
	serving time.Time // when it came into service
	news    time.Time // when results last arrived, or the first of its tasks were sent
	free    time.Time // when it ran out of tasks; zero if it has some
	waited  time.Duration
}

// begin notes that the worker enters service.
func (u *usage) begin() {
	u.serving = time.Now()
	u.free = u.serving
}

// given notes that a worker without tasks gets some.
func (u *usage) given() {
	u.news = time.Now()
	if !u.free.IsZero() {
		u.waited += u.news.Sub(u.free)
		u.free = time.Time{}
	}
}

// heard notes that results have arrived. The argument last is true if the worker has no tasks left.
func (u *usage) heard(last bool) {
	u.news = time.Now()
	if last {
		u.free = u.news
	}
}
