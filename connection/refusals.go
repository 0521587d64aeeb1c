package connection

import (
	"log/slog"
	"net"
	"sync"
	"time"
)

// refusals logs refused connections one by one until there are too many. Every peer that can reach
// the listener can cause refusals, and must not be able to fill the log.
type refusals struct {
	log      *slog.Logger
	listener string

	mu     sync.Mutex
	lines  int // in this interval
	missed int
	timer  *time.Timer // fires at the end of the interval; nil between intervals
}

const (
	linesAtATime = 100
	interval     = 10 * time.Second
)

// add logs why a connection was refused. If there are too many refusals, it only counts this one.
func (r *refusals) add(c net.Conn, why error) {
	r.mu.Lock()
	if r.timer == nil {
		r.timer = time.AfterFunc(interval, r.flush)
	}
	r.lines++
	tell := r.lines <= linesAtATime
	if !tell {
		r.missed++
	}
	r.mu.Unlock()

	if tell {
		r.log.Warn("mp: a connection was refused", "listener", r.listener, "from", c.RemoteAddr().String(), "error", why)
	}
}

// flush ends an interval, and logs the number of refusals that were only counted.
func (r *refusals) flush() {
	r.mu.Lock()
	missed := r.missed
	if r.timer != nil {
		r.timer.Stop()
	}
	r.lines, r.missed, r.timer = 0, 0, nil
	r.mu.Unlock()

	if missed > 0 {
		r.log.Warn("mp: more connections were refused", "listener", r.listener, "count", missed)
	}
}
