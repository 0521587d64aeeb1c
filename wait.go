package mp

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"github.com/go-multiprocessing/mp/internal/cause"
)

// An Awaitable is a [Future] of any type. [Wait] and [AsCompleted] take Awaitables. To wait for
// futures of different types, name it as the type argument: Wait[Awaitable](ctx, …).
type Awaitable interface {
	// Done returns a channel that is closed when the result is available.
	Done() <-chan struct{}

	// Err returns the task's error, or nil if the result is not available yet.
	Err() error

	watch(notify func()) (stop func())
	failed() bool
}

// WaitFor is the condition for which [Wait] waits.
type WaitFor int

// Conditions for Wait.
const (
	AllDone    WaitFor = iota // all futures are done
	FirstDone                 // a future is done
	FirstError                // the state of a future is Failed, or all futures are done
)

// Wait waits until the condition is true or ctx ends. It returns the futures that are done and
// those that are pending, each in the order given and without duplicates. If ctx ends first, Wait
// also returns ctx's error. The futures are not affected.
func Wait[F Awaitable](ctx context.Context, until WaitFor, futures ...F) (done, pending []F, err error) {
	if until < AllDone || until > FirstError {
		return nil, futures, fmt.Errorf("mp: Wait: %d is none of AllDone, FirstDone, FirstError", until)
	}

	for i, f := range futures {
		if isNil(f) {
			return nil, futures, fmt.Errorf("mp: Wait: future %d is nil", i)
		}
	}
	futures = distinct(futures)
	changed := make(chan struct{}, 1)
	var stops []func()
	defer func() {
		for _, stop := range stops {
			stop()
		}
	}()
	var mu sync.Mutex
	left, failed := len(futures), false
	for _, f := range futures {
		stops = append(stops, f.watch(func() {
			mu.Lock()
			defer mu.Unlock()
			left--
			select {
			case changed <- struct{}{}:
			default:
			}
		}))
	}

	enough := func() bool {
		mu.Lock()
		n := left
		mu.Unlock()
		if until == FirstError && !failed {
			for _, f := range futures {
				failed = failed || f.failed()
			}
		}
		return n == 0 || until == FirstDone && n < len(futures) || failed
	}
	for err == nil && !enough() {
		select {
		case <-changed:
		case <-ctx.Done():
			err = cause.Of(ctx)
		}
	}

	for _, f := range futures {
		if isDone(f) {
			done = append(done, f)
		} else {
			pending = append(pending, f)
		}
	}

	return done, pending, err
}

func isDone(f Awaitable) bool {
	select {
	case <-f.Done():
		return true
	default:
		return false
	}
}

func distinct[F Awaitable](futures []F) []F {
	seen := make(map[Awaitable]bool, len(futures))
	var out []F
	for _, f := range futures {
		if !seen[f] {
			seen[f] = true
			out = append(out, f)
		}
	}
	return out
}

// AsCompleted yields futures in the order they complete. If ctx ends before all futures are done,
// AsCompleted yields those that are done and then the zero F with an error. The error reports how
// many are not done, and errors.Is finds ctx's error in it.
func AsCompleted[F Awaitable](ctx context.Context, futures ...F) iter.Seq2[F, error] {
	return func(yield func(F, error) bool) {
		for i, f := range futures {
			if isNil(f) {
				yield(f, fmt.Errorf("mp: AsCompleted: future %d is nil", i))
				return
			}
		}

		all := distinct(futures)
		ready := make(chan F, len(all)) // has room for all, because watch must not block
		for _, f := range all {
			stop := f.watch(func() { ready <- f })
			defer stop()
		}

		for n := range all {
			f, err := nextOf(ctx, ready)
			if err != nil {
				yield(f, fmt.Errorf("mp: %d of %d futures are not done: %w", len(all)-n, len(all), err))
				return
			}
			if !yield(f, nil) {
				return
			}
		}
	}
}

// nextOf returns the next future from ready. If ctx has ended and a future is ready, it returns the
// future.
func nextOf[F any](ctx context.Context, ready <-chan F) (f F, err error) {
	select {
	case f = <-ready:
		return f, nil
	default:
	}
	select {
	case f = <-ready:
		return f, nil
	case <-ctx.Done():
		return f, cause.Of(ctx)
	}
}
