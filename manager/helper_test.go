//go:build linux

package manager_test

import (
	"context"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/manager"
	"github.com/go-multiprocessing/mp/mptest"
)

func TestMain(m *testing.M) { mptest.Main(m) }

func start(t testing.TB, cfg manager.Config) *manager.Manager {
	t.Helper()
	m, err := manager.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func newPool(t testing.TB, cfg mp.PoolConfig) *mp.Pool {
	t.Helper()
	p, err := mp.NewPool(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// until waits for what another process does.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("in vain: ", what)
		}
	}
}

// soon ends what would hang.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// stats are those of the manager.
func stats(t testing.TB, m *manager.Manager) manager.Stats {
	t.Helper()
	st, err := m.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st
}
