//go:build linux

package manager_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/manager"
	"github.com/go-multiprocessing/mp/mptest"
)

// staying is a client that stays until the test is over.
var staying = mp.RegisterAction("staying", func(ctx context.Context, h honest) error {
	if err := h.call(ctx, 1); err != nil {
		return err
	}
	if err := h.Over.Wait(ctx); err != nil {
		return err
	}
	return h.call(ctx, 2)
})

// Clients that come through the door are counted for each process and in total. A client above the
// limit gets an error that says so. Admitted clients continue, and there is room again when an
// admitted client has gone or died.
func TestLocalClientsAreCounted(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := soon(t)
	m := start(t, manager.Config{Limits: manager.Limits{Clients: 3, Connections: 2}})
	d := must(manager.NewDict[string, int](ctx, m))
	over := must(ipc.NewEvent(ipc.Isolated()))
	defer over.Close()
	second := must(m.Knock(ctx))
	if _, err := m.Knock(ctx); !errors.Is(err, manager.ErrLimit) || !strings.Contains(err.Error(), "Limits.Connections is 2") {
		t.Error(err)
	}

	pool := newPool(t, mp.PoolConfig{Workers: 1})
	worker := mp.Submit(ctx, pool, staying, honest{d, "worker", over})
	until(t, "the worker is in", func() bool { return stats(t, m).Clients == 3 })
	other := newPool(t, mp.PoolConfig{Workers: 1})
	if _, err := mp.Call(ctx, other, settingOnce, d); !errors.Is(err, manager.ErrLimit) || !strings.Contains(err.Error(), "Limits.Clients is 3") {
		t.Error(err)
	}

	if err := (honest{d, "main", over}).call(ctx, 1); err != nil {
		t.Error(err)
	}

	_ = second.Close()
	until(t, "there is room", func() bool { _, err := mp.Call(ctx, other, settingOnce, d); return err == nil })
	_ = other.Close() // ends its process
	until(t, "there is room again", func() bool {
		third, err := m.Knock(ctx)
		if err == nil {
			_ = third.Close()
		}
		return err == nil
	})

	_ = over.Set()
	if _, err := worker.Result(ctx); err != nil {
		t.Error(err)
	}
	_ = pool.Close()
	_ = m.Close()
}

// A manager does not trust a client's claim about the size of its messages. The manager has a limit
// of its own. If a client sends a longer message, the manager disconnects the client before it
// allocates memory for the message.
func TestManagerHasItsOwnMessageLimit(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := soon(t)
	m := start(t, manager.Config{})
	d := must(manager.NewDict[string, int](ctx, m))
	ours, theirs, err := ipc.NewPipe[manager.Protocol](ipc.MaxMessage(1 << 40))
	if err != nil {
		t.Fatal(err)
	}

	if err := m.PutIntoDoor(ctx, theirs, "greedy"); err != nil {
		t.Fatal(err)
	}

	if b, err := ours.RecvBytes(ctx); len(b) != 0 || err != nil {
		t.Fatalf("%q, %v", b, err)
	}

	if err := ours.SendBytes(ctx, make([]byte, 300<<20)); err != nil {
		t.Fatal(err)
	}
	if _, err := ours.RecvBytes(ctx); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if n := peak(t, m.PID()); n > 200 {
		t.Errorf("the manager took %d MiB", n)
	}
	if err := d.Set(ctx, "others", 1); err != nil {
		t.Error(err)
	}
	_, _ = ours.Close(), m.Close()
}

// A hello is short. If a client sends a long one, the hello does not reach the manager's memory,
// and the client is not admitted.
func TestLongHello(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := soon(t)
	m := start(t, manager.Config{})
	ours, theirs, err := ipc.NewPipe[manager.Protocol]()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	defer ours.Close()
	if err := m.PutIntoDoor(ctx, theirs, strings.Repeat("x", 1<<20)); !errors.Is(err, mp.ErrTooLong) {
		t.Error(err)
	}
	_ = m.Close()
}
