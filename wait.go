package mp

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"github.com/go-multiprocessing/mp/internal/cause"
)

// Awaitable is what [Wait] and [AsCompleted] wait for: futures of any type.
// For a mixture name it as the type parameter: Wait[Awaitable](ctx, …).
type Awaitable interface {
	// Done is closed when the result is there.
	Done() <-chan struct{}
	// Err is its error; nil before that.
	Err() error

	watch(notify func()) (stop func())
	failed() bool
}

// WaitFor says what [Wait] waits for.
type WaitFor int

// What Wait waits for.
const (
	AllDone    WaitFor = iota // all are done
	FirstDone                 // one is done
	FirstError                // one has failed, by its FutureState, or all are done: Cancelled is not Failed
)

// Wait waits until the futures are as wanted or ctx ends, and sorts them into
// those that are done and those that are not, in the order given; one given
// twice counts once. The error is the context's, if that is why it returned.
// The futures are not affected.
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

// AsCompleted yields each future when it is done, those that are first. When
// ctx ends before all are, it yields what is done and then an error, with the
// zero F, that says how many are not.
func AsCompleted[F Awaitable](ctx context.Context, futures ...F) iter.Seq2[F, error] {
	return func(yield func(F, error) bool) {
		for i, f := range futures {
			if isNil(f) {
				yield(f, fmt.Errorf("mp: AsCompleted: future %d is nil", i))
				return
			}
		}
		all := distinct(futures)
		ready := make(chan F, len(all)) // room for all: watch must not block
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

// nextOf prefers what is ready over the end of ctx.
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
