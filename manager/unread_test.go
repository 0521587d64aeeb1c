//go:build linux

package manager_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/manager"
)

// unreading returns connections on which requests were sent and no answers are read.
func unreading(t *testing.T, m *manager.Manager, n int, ask []byte) (all []*ipc.Conn[manager.Protocol]) {
	t.Helper()
	for range n {
		c := must(m.Knock(soon(t)))
		if err := c.SendBytes(soon(t), ask); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		all = append(all, c)
	}
	return all
}

// worst returns the duration of the slowest call.
func worst(t *testing.T, d *manager.Dict[string, int], during time.Duration) (longest time.Duration) {
	t.Helper()
	for began := time.Now(); time.Since(began) < during; time.Sleep(time.Millisecond) {
		at := time.Now()
		if err := d.Set(soon(t), "k", 1); err != nil {
			t.Error(err)
		}
		longest = max(longest, time.Since(at))
	}
	return longest
}

// Long messages full of requests whose answers are not read do not make the manager hold more bytes
// than are allowed for one process. An honest long request waits until there is room, which the
// manager makes by disconnecting clients that do not read.
func TestUnreadRequests(t *testing.T) {
	if testing.Short() {
		t.Skip("many megabytes")
	}

	m := start(t, manager.Config{})
	d := must(manager.NewDict[string, int](t.Context(), m))
	long := must(manager.NewValue(t.Context(), m, []byte(nil)))
	before := peak(t, m.PID())
	bad := unreading(t, m, 6, manager.Pings(4<<20)) // 40 MiB each
	t.Log("the slowest call took ", worst(t, d, 2*time.Second))
	if n := peak(t, m.PID()) - before; n > 170 {
		t.Error("the manager took", n, "MiB")
	}

	if err := long.Store(soon(t), make([]byte, 30<<20)); err != nil {
		t.Error(err)
	}
	cut := 0
	for _, c := range bad {
		for {
			short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			_, err := c.RecvBytes(short)
			cancel()
			if errors.Is(err, io.EOF) {
				cut++
			}
			if err != nil {
				break
			}
		}
	}

	if cut == 0 {
		t.Error("none was disconnected")
	}
	endsSoon(t, m)
}

// Long answers that are not read do not make the manager hold more bytes than are allowed for one
// process.
func TestUnreadAnswers(t *testing.T) {
	if testing.Short() {
		t.Skip("many megabytes")
	}
	m := start(t, manager.Config{})
	v := must(manager.NewValue(t.Context(), m, make([]byte, 40<<20)))
	d := must(manager.NewDict[string, int](t.Context(), m))
	before := peak(t, m.PID())
	unreading(t, m, 12, manager.Loads(manager.NumberOf(v), 3))
	_ = worst(t, d, time.Second)
	if n := peak(t, m.PID()) - before; n > 400 {
		t.Error("the manager took", n, "MiB")
	}
	if b, err := v.Load(soon(t)); err != nil || len(b) != 40<<20 {
		t.Error(len(b), err)
	}
}

// A long batch does not keep other clients from being served, and is itself performed even if other
// clients send long batches too.
func TestLongBatches(t *testing.T) {
	m := start(t, manager.Config{})
	ctx := soon(t)
	d := must(manager.NewDict[string, int](ctx, m))
	dicts, errs := make([]*manager.Dict[int, int], 4), make(chan error, 4)
	all := map[int]int{}
	for i := range 100_000 {
		all[i] = i
	}

	for i := range dicts {
		dicts[i] = must(manager.NewDict[int, int](ctx, m))
		go func() { errs <- dicts[i].SetAll(ctx, all) }()
	}

	t.Log("the slowest call took ", worst(t, d, 500*time.Millisecond))
	for _, many := range dicts {
		if err := <-errs; err != nil {
			t.Error(err)
		}
		if n, err := many.Len(ctx); err != nil || n > len(all) {
			t.Error(n, err)
		}
	}

	for _, many := range dicts {
		if n, err := many.Len(ctx); err != nil || n != len(all) {
			t.Error(n, err)
		}
	}
}
