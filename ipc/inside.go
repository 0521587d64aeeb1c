package ipc

import (
	"context"
	"time"

	"github.com/go-multiprocessing/mp/internal/inside"
)

func init() {
	inside.BoundConn = boundConn
	inside.NextOfConn = nextOfConn
	inside.BoundNext = boundNext
	inside.UnreadByConn = unreadByConn
	inside.ConnEnded = connEnded
	inside.EndUnread = endUnread
	inside.TakeRecord = takeRecord
	inside.MakerOfConn = makerOfConn
	inside.QueueEnded = func(queue any) bool { return queue.(puttable).ended() }
}

func boundConn(conn any, bytes int) {
	if e := conn.(piped).piped(); e != nil {
		e.most = bytes
	}
}

func nextOfConn(conn any) int {
	if e := conn.(piped).piped(); e != nil {
		return e.nextSpill()
	}
	return 0
}

func boundNext(conn any, bytes int) {
	if e := conn.(piped).piped(); e != nil {
		e.maxNext.Store(int64(bytes))
	}
}

func unreadByConn(conn any) (bytes int, since time.Time) {
	if e := conn.(piped).piped(); e != nil {
		return e.unread.bytes()
	}
	return 0, time.Time{}
}

func connEnded(conn any) bool {
	e := conn.(piped).piped()
	if e == nil {
		return false
	}
	if e.enter() != nil {
		return true
	}
	defer e.leave()
	return e.pipe.Sent(e.end).Ended()
}

func endUnread(conn any) {
	if e := conn.(piped).piped(); e != nil {
		e.unread.end()
	}
}

func takeRecord(conn any) (release func(), err error) {
	e := conn.(piped).piped()
	rec, err := e.received().TryGet(nil)
	return func() {
		if rec.Spilled {
			_, _ = e.spill().take(context.Background(), rec.Bytes, nil)
			e.received().Released()
		}
	}, err
}

func makerOfConn(conn any) uint64 {
	if e := conn.(piped).piped(); e != nil {
		return e.mem.Maker()
	}
	return 0
}

// piped is implemented by every Conn.
type piped interface{ piped() *pipeEnd }

// piped returns the end of the pipe, or nil if c is not an end of a pipe.
func (c *Conn[T]) piped() *pipeEnd {
	if c.in == nil {
		return nil
	}
	e, _ := c.in.line.(*pipeEnd)
	return e
}

// puttable is implemented by every Queue.
type puttable interface{ ended() bool }

func (q *Queue[T]) ended() bool { return q.in == nil || q.in.ring.Ended() }
