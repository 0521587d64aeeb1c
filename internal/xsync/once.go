package xsync

import (
	"context"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/park"
)

// A Once is something that is done once. Its word is the slot of the process that is
// at it, or finished.
type Once struct {
	object
	queue park.Site
}

// NewOnce makes a Once that has not been done.
func NewOnce(m Memory) *Once {
	birth(m, 0)
	return OpenOnce(m)
}

// OpenOnce returns the Once that is there already.
func OpenOnce(m Memory) *Once {
	o := &Once{}
	o.init(m)
	o.site(&o.queue, m, 0, true)
	return o
}

// Close makes it closed: for everybody if this process owns it.
func (o *Once) Close(owned bool) { o.close(owned, &o.queue) }

// Done reports whether it has been done.
func (o *Once) Done() (bool, error) {
	w := o.word.Load()
	if !o.alive(w) {
		return false, errs.ErrClosed
	}
	o.edge.acquire()
	return w&finished != 0, nil
}

// Do calls f if nobody has done it, and waits while somebody else is at it. If f
// fails or panics, or its process dies, the next one does it.
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
