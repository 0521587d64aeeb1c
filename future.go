package mp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/internal/codec"
)

// A Future is a result that will be there later. It is safe for concurrent use. Objects and files in a result that
// nobody has asked for are closed when the Future is no longer reachable.
type Future[Out any] struct {
	value  Out     // written before settled is set
	err    error   // likewise
	unread *unread // likewise

	ctx   cancelContext // of the task
	ex    Executor
	batch Batch

	mu        sync.Mutex
	cancel    func() // instead of ctx's, where there is no task of its own
	ended     bool   // the outcome is known
	settled   bool   // and the callbacks have returned
	cancelled bool
	done      chan struct{} // made when somebody asks for it
	callbacks []func(Out, error)
	watchers  *watchers
}

// watchers are to be told of the end.
type watchers struct {
	notify map[int]func()
	last   int
}

// FutureState is how far a task has come.
type FutureState string

// Future states.
const (
	Pending   FutureState = "pending"   // it has not begun
	Running   FutureState = "running"   // it has begun; a MapAsync from its start
	Succeeded FutureState = "succeeded" // it has a result
	Failed    FutureState = "failed"    // it has an error
	Cancelled FutureState = "cancelled" // Cancel ended it, before it began or while it ran; at the end of its context it has failed
)

// settle ends the future; the first call counts. Callbacks run before anyone
// gets the result.
func (f *Future[Out]) settle(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return
	}
	f.ended, f.err = true, err
	f.cancelled = f.cancelled && errors.Is(err, context.Canceled)
	f.ctx.forget()
	f.batch, f.ex, f.cancel = nil, nil, nil
	if len(f.callbacks) == 0 {
		f.release()
		return
	}
	// Not on the goroutine that settles: it serves other tasks too.
	go f.callBack()
}

// callBack runs the callbacks one after the other, then hands out the result.
// One that calls runtime.Goexit ends the goroutine, and a new one goes on.
func (f *Future[Out]) callBack() {
	over := false
	defer func() {
		if !over {
			go f.callBack()
		}
	}()
	for {
		f.mu.Lock()
		if len(f.callbacks) == 0 {
			break
		}
		next := f.callbacks[0]
		f.callbacks = f.callbacks[1:]
		f.mu.Unlock()
		value, err := f.handOut()
		runCallback(next, value, err)
	}
	f.release()
	over = true
	f.mu.Unlock()
}

// release hands out the result; under the lock.
func (f *Future[Out]) release() {
	f.settled, f.callbacks = true, nil
	if f.done != nil {
		close(f.done)
	}
	if f.watchers != nil {
		for _, notify := range f.watchers.notify {
			notify()
		}
		f.watchers = nil
	}
}

func runCallback[Out any](cb func(Out, error), value Out, err error) {
	defer func() {
		if r := recover(); r != nil {
			slog.Error("mp: panic in an OnDone callback", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
		}
	}()
	cb(value, err)
}

// Done returns a channel that is closed when the result is there.
func (f *Future[Out]) Done() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done == nil {
		f.done = make(chan struct{})
		if f.settled {
			close(f.done)
		}
	}
	return f.done
}

// Result waits for the result and returns it, again and again. The error is the
// task's, or the context's if ctx ends first: the task is not affected by that.
func (f *Future[Out]) Result(ctx context.Context) (Out, error) {
	f.mu.Lock()
	settled := f.settled
	f.mu.Unlock()
	if !settled {
		select {
		case <-f.Done():
		case <-ctx.Done():
			var none Out
			return none, cause.Of(ctx)
		}
	}
	return f.handOut()
}

// Err returns the task's error; nil while there is no result or if it succeeded.
func (f *Future[Out]) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.settled {
		return nil
	}
	return f.err
}

// failed reports whether the result is there, and the task has Failed.
func (f *Future[Out]) failed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.settled && f.err != nil && !f.cancelled
}

// Cancel cancels the task and reports whether that came before its end. One that
// has not begun will not be run; one that runs has its context cancelled and, if
// it ignores that, is killed with its worker. Cancel does not wait for it.
func (f *Future[Out]) Cancel() bool {
	f.mu.Lock()
	if f.ended {
		f.mu.Unlock()
		return false
	}
	f.cancelled = true
	cancel := f.cancel
	f.mu.Unlock()
	if cancel != nil {
		cancel()
	} else {
		f.ctx.cancel()
	}
	return true
}

// State says how far the task is. It has ended a moment before the result is handed out.
func (f *Future[Out]) State() FutureState {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.ended && f.cancelled:
		return Cancelled
	case f.ended && f.err != nil:
		return Failed
	case f.ended:
		return Succeeded
	case f.cancel != nil:
		return Running // many tasks: some may be
	}
	if ex, ok := f.ex.(interface{ isRunning(Batch, int) bool }); ok && ex.isRunning(f.batch, 0) {
		return Running
	}
	return Pending
}

// OnDone has callback called once with the result, by the caller itself if it is
// there already. The callbacks that were added before run one after the other, in
// that order, and then the result is handed out: a callback that waited for its
// own future would wait for ever, and has the result as its arguments. One that
// panics is logged and harms nothing else.
func (f *Future[Out]) OnDone(callback func(Out, error)) {
	f.mu.Lock()
	if !f.settled {
		f.callbacks = append(f.callbacks, callback)
		f.mu.Unlock()
		return
	}
	f.mu.Unlock()
	value, err := f.handOut()
	runCallback(callback, value, err)
}

// watch has notify called when the result is there, at once if it is. It is
// called under the future's lock and must not block. stop ends that.
func (f *Future[Out]) watch(notify func()) (stop func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.settled {
		notify()
		return func() {}
	}
	if f.watchers == nil {
		f.watchers = &watchers{notify: map[int]func(){}}
	}
	w := f.watchers
	w.last++
	id := w.last
	w.notify[id] = notify
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(w.notify, id)
	}
}

// receive decodes a result, and returns a receipt if it has brought along what a receipt is for. With keep, *out may
// keep data.
func (f *Func[In, Out]) receive(data []byte, out *Out, keep bool) (codec.Receipt, error) {
	if !f.out.Carries() {
		return nil, f.decodeOrTake(data, out, keep)
	}
	tickets := bytes.Clone(f.out.Given(data))
	if err := f.decodeOrTake(data, out, keep); err != nil || len(tickets) == 0 {
		return nil, err
	}
	r := codec.NewReceipt(tickets)
	runtime.KeepAlive(out)
	return r, nil
}

func (f *Func[In, Out]) decodeOrTake(data []byte, out *Out, keep bool) error {
	if keep {
		return f.take(data, out)
	}
	return f.decode(data, out)
}

// unread is the receipt of a future's result until somebody has got that.
type unread struct {
	receipts []codec.Receipt
	got      atomic.Bool
}

// keepFor closes the objects of the receipts when a future is no longer reachable and its result was never asked for.
func keepFor[Out any](f *Future[Out], receipts ...codec.Receipt) {
	u := &unread{receipts: receipts}
	f.unread = u
	runtime.AddCleanup(f, func(u *unread) {
		if !u.got.Load() {
			go u.lose()
		}
	}, u)
}

func (u *unread) lose() {
	for _, r := range u.receipts {
		r.LoseUnreachable()
	}
}

// handOut says that somebody gets the result.
func (f *Future[Out]) handOut() (Out, error) {
	if f.unread != nil {
		f.unread.got.Store(true)
	}
	return f.value, f.err
}
