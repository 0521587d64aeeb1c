package mp

import (
	"context"
	"fmt"
	"time"
)

// A CallOption changes how a task runs. Every CallOption is also a [MapOption], which applies to
// each task of a [Map] or a [Stream]. A nil CallOption changes nothing.
type CallOption func(*Hints)

// A MapOption changes how [Map], [Stream] and their variants run. A nil MapOption changes nothing.
type MapOption interface{ apply(*mapOptions) }

type mapOptions struct {
	hints     Hints
	allErrors bool
	tell      []func(Progress)
}

func (o CallOption) apply(m *mapOptions) {
	if o != nil {
		o(&m.hints)
	}
}

type mapOption func(*mapOptions)

func (o mapOption) apply(m *mapOptions) { o(m) }

// Timeout limits how long each task may run, counted from its start. When the timeout passes, the
// task's context ends with [context.DeadlineExceeded]. If the task does not return within the
// pool's grace period ([PoolConfig.Grace]), mp kills its worker, and the task's error is a
// [*WorkerError] with [ReasonDeadline] and the stacks of the worker's goroutines.
//
// The pool looks at the clock at least eight times within the timeout, but at most once per
// millisecond, so the timeout may pass unnoticed for up to an eighth of d, or for a millisecond. It
// never ends a task early. Tasks that end in time pay next to nothing for it. The task's context
// reports the deadline.
//
// A task that runs a command with [os/exec.CommandContext] returns when its context ends only if
// the command's WaitDelay is shorter than the grace period. Otherwise the task may wait for
// children of the command that keep its output open.
//
// If d is 0, the tasks have no timeout, even if [PoolConfig.Timeout] sets one. If d is negative,
// the call returns an error.
func Timeout(d time.Duration) CallOption {
	return func(h *Hints) {
		if h.Timeout = d; d == 0 {
			h.Timeout = NoTimeout
		}
	}
}

// Retries runs a task again if its worker died, up to n times. An attempt that died may already
// have had some or all of its effects. [CurrentTask] tells a task which attempt it is.
//
// A task is not retried if it returned an error or panicked, if it was killed because its context
// ended or its timeout passed, if its worker was killed with [ReasonCorrupt], or if its argument
// holds something that only one process can have, such as one end of a pipe. If n is negative, the
// call returns an error.
func Retries(n int) CallOption { return func(h *Hints) { h.Retries = n } }

// ChunkSize sets how many elements of a [Map] or [Stream] are sent to a worker together. A chunk
// has fewer elements if they do not fit into 64 KiB, or if the Stream has not read enough. By
// default, and if n is 0, mp chooses the size based on the time that the tasks take, which is best
// for almost all uses. If n is negative, the call returns an error.
func ChunkSize(n int) MapOption { return mapOption(func(o *mapOptions) { o.hints.Chunk = n }) }

// AllErrors makes a [Map] run all elements even if some fail, and return the errors of all elements
// as [ElementErrors]. Without it, the first error ends the Map. A [Stream] ignores this option: it
// always yields the errors of all elements.
func AllErrors() MapOption { return mapOption(func(o *mapOptions) { o.allErrors = true }) }

func applyOptions(ctx context.Context, opts []MapOption) (o mapOptions, err error) {
	for _, opt := range opts {
		if opt != nil {
			opt.apply(&o)
		}
	}
	o.hints, err = hintsOf(ctx, o.hints, nil)
	return o, err
}

// hintsOf returns h changed by the options and with the baggage of ctx.
func hintsOf(ctx context.Context, h Hints, opts []CallOption) (Hints, error) {
	for _, opt := range opts {
		if opt != nil {
			opt(&h)
		}
	}
	if err := h.check(); err != nil {
		return h, err
	}
	return h, h.pack(ctx)
}

func (h Hints) check() error {
	switch {
	case h.Chunk < 0:
		return fmt.Errorf("mp: ChunkSize is %d: it must not be negative", h.Chunk)
	case h.Timeout < 0 && h.Timeout != NoTimeout:
		return fmt.Errorf("mp: Timeout is %v: it must not be negative", h.Timeout)
	case h.Retries < 0:
		return fmt.Errorf("mp: Retries is %d: it must not be negative", h.Retries)
	}
	return nil
}
