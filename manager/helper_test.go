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

// until waits until holds returns true. The result of holds depends on another process.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("in vain: ", what)
		}
	}
}

// soon returns a context that ends before a hanging test would.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// stats returns the manager's counts.
func stats(t testing.TB, m *manager.Manager) manager.Stats {
	t.Helper()
	st, err := m.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st
}
