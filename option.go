package mp

import (
	"context"
	"fmt"
	"time"
)

// A CallOption changes how tasks are run, one or each of many: it is a
// [MapOption] too. A nil one changes nothing.
type CallOption func(*Hints)

// A MapOption changes how [Map], [Stream] and their kin run. A nil one changes nothing.
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

// Timeout limits how long each task may run, counted from its begin. Then its
// context ends with [context.DeadlineExceeded]; a task that ignores that for the
// pool's grace ([PoolConfig.Grace]) is killed with its worker, and its error is a
// [*WorkerError] with [ReasonDeadline] and the stacks of the worker's goroutines.
// (A task that waits for a command's output, as exec.Cmd does, heeds its context
// only if the command's WaitDelay is set below the grace: else it waits for the
// command's children.) The pool looks at the clock eight times within the timeout at least, so it
// comes late by up to an eighth, and never early. It costs nothing to speak of
// for the tasks that keep to it. 0 means no limit, whatever the pool's config
// says; a negative timeout is an error of the call.
//
// The context tells the deadline, so that one derived from it with a later deadline has no
// timer of its own, and ends with it.
func Timeout(d time.Duration) CallOption {
	return func(h *Hints) {
		if h.Timeout = d; d == 0 {
			h.Timeout = NoTimeout
		}
	}
}

// Retries lets a task whose worker died be run again, up to n times; its
// [TaskInfo] tells it the attempt. It may have had any part of its effects
// before. A task that was killed because its context ended or its timeout passed
// is not retried, and one that returned an error or panicked never is. A
// negative number is an error of the call.
func Retries(n int) CallOption { return func(h *Hints) { h.Retries = n } }

// ChunkSize fixes how many elements of a Map travel to a worker together, as far
// as they fit into 64 KiB; a Stream sends no more than it has. The default sizes
// chunks by the time that the tasks take, which is best for almost all uses. A
// negative size is an error of the call.
func ChunkSize(n int) MapOption { return mapOption(func(o *mapOptions) { o.hints.Chunk = n }) }

// AllErrors lets a Map run to its end whatever fails, and return the errors of
// all elements as [ElementErrors]. Without it the first error ends the Map.
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

// hintsOf are those of a call: of its options, and with the baggage of its context.
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
