package ipc

import (
	"context"
	"time"

	"github.com/go-multiprocessing/mp/internal/xsync"
)

// leftovers are the messages in rings that have ended, which nobody will receive. Any process that has the rings
// may have written them: each may name the same memory as all others, of any size. So dropping them costs little more
// than one message, and does not delay the caller that closes the rings.
type leftovers struct {
	outside
	carries bool // a message may bring along what is to be let go of
	drop    func(message []byte)
	records []xsync.Record
}

const (
	// takingLeftovers is how long it may take to take the records out of one ring: another process may hold the lock
	// again and again. Records still in the ring are released with it.
	takingLeftovers = time.Second
	// droppingLeftovers is how long the caller waits until they are dropped. Dropping goes on after that.
	droppingLeftovers = time.Second
	// leastRead is how many bytes of messages outside the rings are read at least, to release the objects in
	// them. Messages beyond that are dropped unread, unless one of that size may be received.
	leastRead = 256 << 20
)

// takeFrom takes the records out of a ring. It reads the ring's length once: a corrupt process could keep the
// ring from ever looking empty.
func (l *leftovers) takeFrom(r *xsync.Ring) {
	begun := time.Now()
	for range r.Len() {
		if time.Since(begun) > takingLeftovers {
			return
		}
		rec, err := r.TryGet(nil)
		if err != nil {
			return
		}
		if rec.Spilled || l.carries {
			l.records = append(l.records, rec)
		}
	}
}

// dropAll drops the messages, and then calls release.
func (l *leftovers) dropAll(release func()) {
	if len(l.records) == 0 {
		release()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer release()
		l.dropEach()
	}()
	limit := time.NewTimer(droppingLeftovers)
	defer limit.Stop()
	select {
	case <-done:
	case <-limit.C:
	}
}

func (l *leftovers) dropEach() {
	left := uint64(max(l.most, leastRead))
	for _, rec := range l.records {
		if !rec.Spilled {
			l.drop(rec.Bytes)
			continue
		}
		n := lengthOf(rec.Bytes)
		if !l.carries || l.isBytes(rec.Bytes) || n > min(left, uint64(l.most)) {
			l.outside.drop(rec.Bytes)
			continue
		}
		left -= n
		if b, err := l.take(context.Background(), rec.Bytes, nil); err == nil {
			l.drop(b)
		}
	}
}
