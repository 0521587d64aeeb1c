//go:build linux

package ipc_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/mptest"
)

// nowhere is a Transport that sends nothing.
type nowhere struct {
	mu    sync.Mutex
	there chan struct{}
	asked chan struct{} // receives a value for each call of Ready
}

func newNowhere() *nowhere {
	return &nowhere{there: make(chan struct{}), asked: make(chan struct{}, 1000)}
}

func (n *nowhere) Send(context.Context, []byte) error { return nil }

func (n *nowhere) Recv(_ context.Context, buf []byte) ([]byte, error) { return buf, mp.ErrClosed }

func (n *nowhere) Ready() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked <- struct{}{}
	return n.there
}

func (n *nowhere) Close() error { return nil }

// arrives makes a message arrive. If taken is true, another receiver takes it at once.
func (n *nowhere) arrives(taken bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.there)
	if taken {
		n.there = make(chan struct{})
	}
}

var putFarAway = mp.Register("putFarAway", func(ctx context.Context, q *ipc.Queue[any]) (bool, error) {
	c, err := ipc.NewConn[any](newNowhere())
	if err != nil {
		return false, err
	}
	defer c.Close()
	var unfit *mp.CodecError
	return errors.As(q.Put(ctx, c), &unfit), nil
})

// A connection over a Transport cannot be sent: trying to send it is an error in every process.
func TestTransportStays(t *testing.T) {
	mptest.NoLeaks(t)
	q := newQueue[any](t, 1)
	for name, ex := range map[string]mp.Executor{"pool": newPool(t, mp.PoolConfig{Workers: 1}), "inline": must(mp.NewInline(mp.InlineConfig{}))} {
		if ok, err := mp.Call(t.Context(), ex, putFarAway, q); !ok || err != nil {
			t.Error(name, ok, err)
		}
	}
}

// If another receiver takes a message first, Select waits for the next message.
func TestSelectTransport(t *testing.T) {
	mptest.NoLeaks(t)
	n := newNowhere()
	c := must(ipc.NewConn[int](n))
	defer c.Close()

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	found := make(chan error)
	wait := func() {
		_, err := ipc.Select(ctx, c)
		found <- err
	}
	go wait()
	for range 100 {
		n.arrives(true)
		select {
		case <-n.asked: // by Select, or by its waiting goroutine, which checks again
		case err := <-found: // Select saw the message before it was taken
			if err != nil {
				t.Fatal(err)
			}
			go wait()
		}
	}

	n.arrives(false)
	if err := <-found; err != nil {
		t.Error(err)
	}
}
