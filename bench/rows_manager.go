package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/go-multiprocessing/mp/manager"
)

// managed returns an opener for a side that uses a manager. One manager serves all rounds.
func managed[O any](made func(ctx context.Context, m *manager.Manager) (O, error), round func(ctx context.Context, b *bench, o O) (float64, error)) opener {
	return func(ctx context.Context, b *bench) (side, error) {
		m, err := manager.Start(ctx, manager.Config{})
		if err != nil {
			return side{}, err
		}

		o, err := made(ctx, m)
		if err == nil {
			err = isElsewhere(m)
		}
		if err != nil {
			return side{}, errors.Join(err, m.Close())
		}

		return side{
			round: func() (float64, error) { return round(ctx, b, o) },
			close: func() { _ = m.Close() },
		}, nil
	}
}

// isElsewhere checks that a manager runs in another process.
func isElsewhere(m *manager.Manager) error {
	if pid := m.PID(); pid == 0 || pid == os.Getpid() {
		return fmt.Errorf("the manager is process %d, and so is this", pid)
	}
	return nil
}

func newDict(ctx context.Context, m *manager.Manager) (*manager.Dict[int, int], error) {
	return manager.NewDict[int, int](ctx, m)
}

// managerDictRow measures one client that sets a key and gets it, again and again.
func managerDictRow() row {
	n := func(b *bench) int { return b.size(20_000, 2000) }
	return row{
		name: "manager-dict", unit: "ops/s", better: higher,
		mp: managed(newDict, func(ctx context.Context, b *bench, d *manager.Dict[int, int]) (float64, error) {
			return setAndGet(ctx, d, 1, n(b))
		}),
		peers: []peer{{"Python Manager dict", 8, onPython("", func(b *bench, python *helper) (float64, error) {
			return python.median("manager-dict 1 %d", b.size(5000, 500))
		})}},
	}
}

// managerDict16Row measures 16 goroutines that set and get keys.
func managerDict16Row() row {
	n := func(b *bench) int { return b.size(4000, 400) }
	return row{
		name: "manager-dict-16", unit: "ops/s", better: higher,
		mp: managed(newDict, func(ctx context.Context, b *bench, d *manager.Dict[int, int]) (float64, error) {
			return setAndGet(ctx, d, 16, n(b))
		}),
		peers: []peer{{"Python Manager dict, 16 threads", 40, onPython("", func(b *bench, python *helper) (float64, error) {
			return python.median("manager-dict 16 %d", b.size(500, 50))
		})}},
	}
}

// setAndGet makes each of several callers set and get a key of its own, n times after n/10 times to
// warm up. It returns the number of operations per second.
func setAndGet(ctx context.Context, d *manager.Dict[int, int], callers, n int) (float64, error) {
	lap := func(n int) error {
		errs := make([]error, callers)
		var all sync.WaitGroup
		for key := range callers {
			all.Go(func() { errs[key] = setAndGetKey(ctx, d, key, n) })
		}
		all.Wait()
		return errors.Join(errs...)
	}
	if err := lap(warmLaps(n)); err != nil {
		return 0, err
	}
	begin := time.Now()
	err := lap(n)
	return perSecond(time.Since(begin), 2*callers*n), err
}

func setAndGetKey(ctx context.Context, d *manager.Dict[int, int], key, n int) error {
	for i := range n {
		if err := d.Set(ctx, key, i); err != nil {
			return err
		}
		if v, ok, err := d.Get(ctx, key); err != nil || !ok || v != i {
			return errors.Join(err, fmt.Errorf("key %d is %d, %v after it was set to %d", key, v, ok, i))
		}
	}
	return nil
}

// managerListRow measures one client that appends.
func managerListRow() row {
	n := func(b *bench) int { return b.size(20_000, 2000) }
	return row{
		name: "manager-list", unit: "appends/s", better: higher,
		mp: managed(func(ctx context.Context, m *manager.Manager) (*manager.List[int], error) {
			return manager.NewList[int](ctx, m, nil)
		}, func(ctx context.Context, b *bench, l *manager.List[int]) (float64, error) {
			if err := errors.Join(l.Clear(ctx), appendAll(ctx, l, warmLaps(n(b))), l.Clear(ctx)); err != nil {
				return 0, err
			}

			begin := time.Now()
			if err := appendAll(ctx, l, n(b)); err != nil {
				return 0, err
			}
			took := time.Since(begin)
			got, err := l.Len(ctx)
			if err == nil {
				err = counted(got, n(b))
			}

			return perSecond(took, n(b)), err
		}),
		peers: []peer{{"Python Manager list", 8, onPython("", func(b *bench, python *helper) (float64, error) {
			return python.median("manager-list %d", b.size(5000, 500))
		})}},
	}
}

func appendAll(ctx context.Context, l *manager.List[int], n int) error {
	for i := range n {
		if _, err := l.Append(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// managerBatchRow measures setting many entries of a dict at once.
func managerBatchRow() row {
	const entries = 1000
	all := map[string]int{}
	for i := range entries {
		all[fmt.Sprintf("key %d", i)] = i
	}

	return row{
		name: "manager-batch", unit: "us", better: lower,
		mp: managed(func(ctx context.Context, m *manager.Manager) (*manager.Dict[string, int], error) {
			return manager.NewDict[string, int](ctx, m)
		}, func(ctx context.Context, b *bench, d *manager.Dict[string, int]) (float64, error) {
			times := b.size(500, 50)
			for range warmLaps(times) {
				if err := d.SetAll(ctx, all); err != nil {
					return 0, err
				}
			}

			begin := time.Now()
			for range times {
				if err := d.SetAll(ctx, all); err != nil {
					return 0, err
				}
			}
			took := time.Since(begin)
			got, err := d.Len(ctx)
			if err == nil {
				err = counted(got, entries)
			}

			return float64(took.Nanoseconds()) / 1000 / float64(times), err
		}),
		peers: []peer{{"Python Manager dict.update", 2, onPython("", func(b *bench, python *helper) (float64, error) {
			return python.median("manager-batch %d %d", entries, b.size(200, 20))
		})}},
	}
}

// managerStartRow measures the time from Start to the first operation, in a small program.
func managerStartRow() row {
	return row{
		name: "manager-start", unit: "ms", better: lower,
		mp: onSmall("managed", "start", startTimes),
		peers: []peer{{"Python Manager, fork", 1, onPython("", func(b *bench, python *helper) (float64, error) {
			return python.median("manager-start %d", startTimes(b))
		})}},
	}
}
