//go:build linux

package manager_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp/connection"
	"github.com/go-multiprocessing/mp/manager"
)

// forever changes nothing, and does not return before its context ends.
var forever = manager.Function("forever", func(ctx context.Context, old int, _ []byte) (int, error) {
	<-ctx.Done()
	return old, ctx.Err()
})

// peak returns the peak memory of a process in MiB.
func peak(t testing.TB, pid int) (mib int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(b), "VmHWM:")
	if _, err := fmt.Sscan(after, &mib); err != nil {
		t.Fatal(err)
	}
	return mib >> 10
}

// selfish is an element type with which a list could contain itself.
type selfish struct{ Lists *manager.List[selfish] }

// hostile holds the hostile clients, which know the key. Without limits, each client's requests
// would take more than 250 MiB or keep others from being served.
var hostile = map[string]func(ctx context.Context, t *testing.T, m *manager.Manager, bad *manager.Manager){
	"names": func(ctx context.Context, t *testing.T, _, bad *manager.Manager) {
		refused := 0
		for i := range 300 {
			if _, err := manager.NewEvent(ctx, bad, manager.Named(fmt.Sprint(i, strings.Repeat("x", 1<<20)))); errors.Is(err, manager.ErrLimit) {
				refused++
			}
		}
		if refused < 250 {
			t.Error(refused, "were refused")
		}
	},
	"arguments": func(ctx context.Context, t *testing.T, _, bad *manager.Manager) {
		d := must(manager.NewDict[string, int](ctx, bad))
		concurrently(ctx, t, 300, func(ctx context.Context) error {
			_, err := manager.Update(ctx, d, "k", forever, make([]byte, 1<<20))
			return err
		})
	},
	"puts": func(ctx context.Context, t *testing.T, _, bad *manager.Manager) {
		q := must(manager.NewQueue[[]byte](ctx, bad, 1))
		if err := q.Put(ctx, nil); err != nil {
			t.Error(err)
		}
		concurrently(ctx, t, 300, func(ctx context.Context) error { return q.Put(ctx, make([]byte, 1<<20)) })
	},
	"batches": func(ctx context.Context, t *testing.T, _, bad *manager.Manager) {
		v := must(manager.NewValue(ctx, bad, make([]byte, 1<<20)))
		into := make([]byte, 0, 1<<20)
		var ops []manager.Op
		for range 2000 {
			ops = append(ops, v.LoadOp(&into))
		}
		if err := bad.Do(ctx, ops...); !errors.Is(err, manager.ErrLimit) {
			t.Error(err)
		}
	},
	"into itself": func(ctx context.Context, t *testing.T, m, bad *manager.Manager) {
		for range 20_000 {
			_ = must(manager.NewEvent(ctx, m))
		}
		l := must(manager.NewList[selfish](ctx, bad, nil))
		for range 2000 {
			if _, err := l.Append(ctx, selfish{l}); !errors.Is(err, manager.ErrLimit) {
				t.Fatal(err)
			}
		}
	},
	"comes and goes": func(ctx context.Context, t *testing.T, m, _ *manager.Manager) {
		for range 100 {
			bad := must(manager.Dial(ctx, "tcp", m.Addr(), connection.Config{Key: secret}))
			d := must(manager.NewDict[string, int](ctx, bad))
			short, cancel := context.WithTimeout(ctx, time.Millisecond)
			_, _ = manager.Update(short, d, "k", forever, make([]byte, 4<<20))
			cancel()
			_ = bad.Close()
		}
	},
	"does not read": func(ctx context.Context, t *testing.T, m, bad *manager.Manager) {
		_ = must(manager.NewValue(ctx, bad, make([]byte, 4<<20), manager.Named("large")))
		for range 10 {
			c := must(connection.Dial[manager.Protocol](ctx, "tcp", m.Addr(), connection.Config{Key: secret}))
			short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
			for c.SendBytes(short, manager.Loads(2, 100)) == nil {
			}
			cancel()
			defer c.Close()
		}
	},
}

// concurrently makes n waiting calls at the same time, and returns when the calls for which there
// is no room have been refused.
func concurrently(ctx context.Context, t *testing.T, n int, call func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	over := make(chan error, n)
	for range n {
		go func() { over <- call(ctx) }()
	}
	for range n * 3 / 4 {
		if err := <-over; !errors.Is(err, manager.ErrLimit) {
			t.Error(err)
		}
	}
	cancel()
	for range n - n*3/4 {
		<-over
	}
}

// A hostile remote client of any kind neither uses up the manager's memory nor keeps the honest
// client from being served.
func TestHostileClients(t *testing.T) {
	if testing.Short() {
		t.Skip("many megabytes")
	}

	for name, attack := range hostile {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			m, _ := remote(t, manager.Config{Limits: manager.Limits{Bytes: 32 << 20}})
			bad, good := dial(t, m), dial(t, m)
			d := must(manager.NewDict[string, int](ctx, good))
			if err := d.Set(ctx, "n", 0); err != nil {
				t.Fatal(err)
			}

			var served atomic.Int64
			var over atomic.Bool
			var honest sync.WaitGroup
			honest.Go(func() {
				for !over.Load() {
					if _, err := manager.Update(ctx, d, "n", plus, 1); err != nil {
						t.Error(err)
						return
					}
					served.Add(1)
				}
			})

			attack(ctx, t, m, bad)
			meanwhile := served.Load()
			over.Store(true)
			honest.Wait()
			if n := peak(t, m.PID()); n > 250 {
				t.Error("the manager took", n, "MiB")
			}

			if meanwhile == 0 {
				t.Error("nobody else was served")
			}
			if n, _, err := d.Get(ctx, "n"); n != int(served.Load()%1000) || err != nil {
				t.Error(n, served.Load(), err)
			}
			t.Logf("%d MiB, %d calls served", peak(t, m.PID()), meanwhile)
		})
	}
}
