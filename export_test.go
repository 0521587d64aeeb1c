package mp

import (
	"context"

	"github.com/go-multiprocessing/mp/internal/crew"
	"github.com/go-multiprocessing/mp/internal/spawn"
)

// PutRaw puts bytes that no Put has encoded, as a corrupt process might.
func (q *Queue[T]) PutRaw(b []byte) error {
	p := parcel{outside: q.q.outside}
	return p.sent(q.q.ring.Put(context.Background(), b, p.put, p.drop))
}

// SendRaw is PutRaw for a connection.
func (c *Conn[T]) SendRaw(b []byte) error { return c.c.send(context.Background(), b) }

// LostDeath is the error of a task whose worker was reaped by something else, having said its
// last words.
func LostDeath(stderr string) *WorkerError {
	return workerError(&crew.Death{Worker: 1, PID: 1, Func: "f", Stderr: stderr, Status: spawn.Status{ExitCode: -1, Lost: true}})
}
