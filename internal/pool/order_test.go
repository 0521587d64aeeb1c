//go:build linux

package pool_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp/internal/pool"
)

// A worker that claims to have started a later task, and never commits the result of an earlier
// task, must not keep the earlier task from being ended, whether by its context or by its timeout.
func TestLaterTaskBegun(t *testing.T) {
	for name, c := range map[string]struct {
		hints  pool.Hints
		cancel bool
	}{"context": {cancel: true}, "timeout": {hints: pool.Hints{Timeout: 500 * time.Millisecond}}} {
		t.Run(name, func(t *testing.T) {
			cr := start(t, config(t, "all have begun", 1))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			first, second := newBatch([]byte("first")), newBatch([]byte("second"))
			execute(t, ctx, cr, "echo", first, c.hints)
			until(t, "the first seems to run", func() bool {
				w := cr.Workers()
				return len(w) == 1 && w[0].Running
			})

			execute(t, t.Context(), cr, "echo", second, pool.Hints{})
			until(t, "the second seems to run", func() bool {
				w := cr.Workers()
				return len(w) == 1 && w[0].Running && w[0].Task == 2
			})
			if c.cancel {
				cancel()
			}

			first.wait(t, "the first")
			second.wait(t, "the second")
			if err := second.errs[0]; !errors.Is(causeOf(err), pool.ErrProtocol) {
				t.Errorf("the second ended with %v: %v", err, causeOf(err))
			}
		})
	}
}

// The same must hold if the worker makes its claim only when it is asked for its stacks.
func TestLaterTaskBegunWhenAsked(t *testing.T) {
	cr := start(t, config(t, "begun until asked for stacks", 1))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first, second := newBatch([]byte("first")), newBatch([]byte("second"))
	execute(t, ctx, cr, "echo", first, pool.Hints{})
	until(t, "the first seems to run", func() bool {
		w := cr.Workers()
		return len(w) == 1 && w[0].Running && w[0].Task == 1
	})
	execute(t, t.Context(), cr, "echo", second, pool.Hints{})
	until(t, "the second is there", func() bool { return cr.Stats().Queued == 0 })
	cancel()
	first.wait(t, "the first")
}

func causeOf(err error) error {
	if d := (*pool.Death)(nil); errors.As(err, &d) {
		return d.Cause
	}
	return nil
}
