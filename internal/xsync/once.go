package xsync

import (
	"context"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/park"
)

// A Once is something that is done once. Its word contains the slot of the process that is doing
// it, or the flag finished.
type Once struct {
	object
	queue park.WaitQueue
}

// NewOnce creates a Once that has not been done.
func NewOnce(m Memory) *Once {
	birth(m, 0)
	return OpenOnce(m)
}

// OpenOnce opens the Once that already exists in m.
func OpenOnce(m Memory) *Once {
	o := &Once{}
	o.init(m)
	o.waitQueue(&o.queue, m, 0, true)
	return o
}

// Close closes the Once, for all processes if this one owns it.
func (o *Once) Close(owned bool) { o.close(owned, &o.queue) }

// Done reports whether a call of f has succeeded.
func (o *Once) Done() (bool, error) {
	w := o.word.Load()
	if !o.alive(w) {
		return false, errs.ErrClosed
	}
	o.edge.acquire()
	return w&finished != 0, nil
}

// Do calls f unless a call of f has succeeded before. While another process calls f, Do waits. If
// that call fails or panics, or its process dies, the next waiter calls f.
func (o *Once) Do(ctx context.Context, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if done, err := o.Done(); done || err != nil {
		return err
	}

	mine := false
	_, err := wait(ctx, &o.queue, func(bool) (done bool, err error) {
		err = o.update(func(w uint64) (uint64, error) {
			done = w&finished != 0
			mine = !done && (w&slots == 0 || o.abandoned(w))
			if mine {
				return w&^slots | o.me, nil
			}
			return w, nil
		})
		return done || mine, err
	})

	o.edge.acquire()
	if err != nil || !mine {
		return err
	}
	return o.do(f)
}

func (o *Once) do(f func() error) (err error) {
	state := uint64(0)
	defer func() {
		o.edge.release()
		e := o.giveUp(func(w uint64) (uint64, error) { return w&^slots | state, nil })
		if err == nil {
			err = e
		}
		o.queue.WakeAll()
	}()
	if err = f(); err == nil {
		state = finished
	}
	return err
}
