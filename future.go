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

// A Future is the result of a task that may not have ended yet. [Submit] and [MapAsync] return
// Futures. A Future is safe for concurrent use.
//
// If a Future becomes unreachable before any code has gotten its result, the objects of package ipc
// and the files in the result are closed.
type Future[Out any] struct {
	value  Out     // written before settled is set
	err    error   // likewise
	unread *unread // likewise

	ctx   cancelContext // of the task
	ex    Executor
	batch Batch

	mu        sync.Mutex
	cancel    func() // of a MapAsync, which does not use ctx; else nil
	ended     bool   // the outcome is known
	settled   bool   // the outcome is known and the callbacks have returned
	cancelled bool
	done      chan struct{} // created by Done
	callbacks []func(Out, error)
	watchers  *watchers
}

// watchers are functions that are called when a future is settled.
type watchers struct {
	notify map[int]func()
	last   int
}

// FutureState is the state of a task.
type FutureState string

// Future states.
const (
	Pending   FutureState = "pending"   // it has not started
	Running   FutureState = "running"   // it has started; a MapAsync is never Pending
	Succeeded FutureState = "succeeded" // it has a result
	Failed    FutureState = "failed"    // it has an error, possibly because its context ended
	Cancelled FutureState = "cancelled" // Future.Cancel ended it, before or after it started
)

// settle sets the outcome of the future. Only the first call has an effect. The callbacks run
// before the result becomes available.
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
	// The goroutine that calls settle also serves other tasks.
	go f.callBack()
}

// callBack runs the callbacks one after the other, then makes the result available. If a callback
// calls runtime.Goexit, a new goroutine runs the others.
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

// release makes the result available. The caller must hold f.mu.
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

// Done returns a channel that is closed when the result is available.
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

// Result waits for the result and returns it. It can be called repeatedly, and returns the same
// result. If ctx ends first, it returns ctx's error; the task goes on.
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

// Err returns the task's error. It returns nil if the result is not available yet or the task has
// succeeded.
func (f *Future[Out]) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.settled {
		return nil
	}
	return f.err
}

// failed reports whether the result is available and the state is Failed.
func (f *Future[Out]) failed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.settled && f.err != nil && !f.cancelled
}

// Cancel cancels the task. It returns false if the task had already ended. A task that has not
// started will not run. The context of a running task is cancelled; if the task ignores that, mp
// kills its worker. Cancel does not wait for the task to end.
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

// State returns the state of the task. The state can change to Succeeded, Failed or Cancelled
// shortly before the result is available.
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
		return Running // some of a MapAsync's tasks may be
	}

	if ex, ok := f.ex.(interface{ isRunning(Batch, int) bool }); ok && ex.isRunning(f.batch, 0) {
		return Running
	}
	return Pending
}

// OnDone calls callback once, with the result, when the task has ended. If the result is already
// available, OnDone calls callback before it returns.
//
// Callbacks that were added before the result was available run one after the other, in the order
// in which they were added. The result becomes available when they have returned. Therefore a
// callback must not wait for its own Future, which would block forever; its arguments are the
// result. A panic in a callback is logged and has no other effect.
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

// watch calls notify when the result is available, at once if it already is. notify is called with
// f.mu held and must not block. After stop returns, notify is not called.
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

// receive decodes a result. If the result gives objects to this process, receive also returns a
// receipt for them. With keep, *out may refer to the memory of data.
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

// An unread holds the receipts of a future's result, and whether some code has got the result.
type unread struct {
	receipts []codec.Receipt
	got      atomic.Bool
}

// keepFor closes the objects of the receipts when f is no longer reachable, unless some code has
// got its result.
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

// handOut returns the result and notes that some code has got it.
func (f *Future[Out]) handOut() (Out, error) {
	if f.unread != nil {
		f.unread.got.Store(true)
	}
	return f.value, f.err
}
