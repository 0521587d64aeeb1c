//go:build linux

package mp_test

import (
	"context"
	"errors"
	"testing"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/mptest"
)

// A task that Cancel has ended does not count as failed.
func TestWaitFirstError(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := t.Context()
	for name, ex := range map[string]mp.Executor{"pool": newPool(t, mp.PoolConfig{Workers: 2}), "inline": must(mp.NewInline(mp.InlineConfig{Workers: 8}))} {
		t.Run(name, func(t *testing.T) {
			event := must(ipc.NewEvent())
			defer event.Close()
			wait := stepping{Wait: event}
			running := mp.Submit(ctx, ex, step, wait)
			begun := mp.Submit(ctx, ex, step, wait)
			until(t, "both run", func() bool { return running.State() == mp.Running && begun.State() == mp.Running })
			early, many := mp.Submit(ctx, ex, step, wait), mp.MapAsync(ctx, ex, step, []stepping{wait, wait})
			for _, f := range []interface{ Cancel() bool }{early, begun, many} {
				f.Cancel()
			}

			<-early.Done()
			<-begun.Done()
			<-many.Done()
			if early.State() != mp.Cancelled || begun.State() != mp.Cancelled || many.State() != mp.Cancelled {
				t.Fatal(early.State(), begun.State(), many.State())
			}

			over, cancel := context.WithCancel(ctx)
			cancel()
			done, pending, err := mp.Wait[mp.Awaitable](over, mp.FirstError, early, running, begun, many)
			if !errors.Is(err, context.Canceled) || len(done) != 3 || len(pending) != 1 {
				t.Errorf("with one that runs: %d done, %d pending, %v", len(done), len(pending), err)
			}

			bad := mp.Submit(ctx, ex, step, stepping{N: -1})
			done, pending, err = mp.Wait[mp.Awaitable](ctx, mp.FirstError, early, running, bad)
			if err != nil || len(done) != 2 || len(pending) != 1 {
				t.Errorf("with one that fails: %d done, %d pending, %v", len(done), len(pending), err)
			}
			if err := event.Set(); err != nil {
				t.Fatal(err)
			}

			done, pending, err = mp.Wait[mp.Awaitable](ctx, mp.FirstError, early, running, many)
			if err != nil || len(done) != 3 || len(pending) != 0 {
				t.Errorf("with none left: %d done, %d pending, %v", len(done), len(pending), err)
			}
			ended, cancelAll := context.WithCancel(ctx)
			cancelAll()
			late := mp.Submit(ended, ex, step, wait) // the end of its context is a failure
			if done, _, err := mp.Wait[mp.Awaitable](ctx, mp.FirstError, late); err != nil || len(done) != 1 || late.State() != mp.Failed {
				t.Errorf("%v, %v", late.State(), err)
			}
		})
	}
}
