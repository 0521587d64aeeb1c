package manager

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// call is a call in progress.
type call struct {
	id     uint32
	on     *link
	after  int // number of batches that were begun before it
	done   bool
	answer []byte
	err    error
	wake   chan struct{} // tells the call to look again; has capacity 1
	waits  bool          // while another call reads
	late   func(answer []byte)
}

func (c *call) wakeUp() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// request is a call that is being prepared.
type request struct {
	store.Writer
	s    *session
	p    *proxy // kept alive until the answer has come
	call call
	late func(answer []byte) // handles an answer for which no caller waits
	// cancelTimeout is how long the call waits for the answer after its context has ended.
	// unanswered is the error if the answer has not come by then; if nil, the error is the
	// context's.
	cancelTimeout time.Duration
	unanswered    error
}

var requests = sync.Pool{New: func() any { return &request{call: call{wake: make(chan struct{}, 1)}} }}

// begin begins a request about an object.
func (s *session) begin(op store.Op, object uint64) *request {
	r := requests.Get().(*request)
	r.s, r.p, r.late, r.cancelTimeout, r.unanswered = s, nil, nil, cancelTimeout, nil
	r.B = r.B[:0]
	r.Begin(0, op, object)
	return r
}

// maxPooled is the maximum capacity of a buffer that is reused.
const maxPooled = 1 << 20

// object writes the ID of an object, which must belong to the same manager.
func (r *request) object(p *proxy) error {
	switch {
	case p == nil:
		return errNotMade
	case p.closed.Load():
		return mp.ErrClosed
	case p.s != r.s:
		return errors.New("manager: an object of another manager")
	}
	r.Uint(p.id)
	return nil
}

func (r *request) free() {
	if cap(r.B) > maxPooled || cap(r.call.answer) > maxPooled {
		return
	}
	r.p, r.late = nil, nil
	requests.Put(r)
}

// do sends the request and calls read with the results, which read must not keep. If read is nil,
// there are no results. The request cannot be used afterwards.
func (r *request) do(ctx context.Context, read func(in *store.Reader) error) error {
	r.End()
	unanswered := r.unanswered
	answer, abandoned, err := r.s.roundTrip(ctx, r)
	if abandoned { // the late answer may still be written into it
		return cmp.Or(unanswered, err)
	}
	defer r.free()
	if err != nil {
		return err
	}

	in, err := store.Answer(answer)
	if err != nil {
		if errors.Is(err, errCanceled) && ctx.Err() != nil {
			err = cause.Of(ctx)
		}
		return err
	}
	if read == nil {
		return in.Err()
	}

	objects := r.s.granted(r.call.on, answer)
	err = read(in)
	r.s.settle(objects)
	if err == nil {
		err = in.Err()
	}

	return err
}
