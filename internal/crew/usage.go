//go:build linux

package crew

import (
	"time"
)

// usage is where a worker's time goes; under the crew's lock.
type usage struct {
	serving time.Time // in service since
	news    time.Time // the last results came, or the first of its tasks were sent
	free    time.Time // without tasks since; zero if it has some
	waited  time.Duration
}

// begin is when the worker comes into service.
func (u *usage) begin() {
	u.serving = time.Now()
	u.free = u.serving
}

// given is when a worker without tasks gets some.
func (u *usage) given() {
	u.news = time.Now()
	if !u.free.IsZero() {
		u.waited += u.news.Sub(u.free)
		u.free = time.Time{}
	}
}

// heard is when results have come.
func (u *usage) heard(last bool) {
	u.news = time.Now()
	if last {
		u.free = u.news
	}
}
