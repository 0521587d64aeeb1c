//go:build linux

package attacks

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/manager"
)

// An order is the argument of the attacker's task.
type order struct {
	Row     string
	Seed    uint64
	Holders string // the address for children that outlive their worker
	Manager string // the manager's address
	Peer    string // the address of a connection.Listener
	Silent  int    // a TCP port whose peer never reads
	Given   given
	Dict    *manager.Dict[string, int]
}

// A victim is the attacker's worker as its task sees it.
type victim struct {
	order
	rand *rand.Rand
	tag  uint64 // upper bits of the numbers of the segments that this worker may publish
}

// attack is the task that attacks. Its result is the ID of the worker's process.
var attack = mp.Register("attack", func(ctx context.Context, o order) (int, error) {
	row, ok := find(o.Row)
	if !ok || row.attack == nil {
		return 0, fmt.Errorf("no attack is called %s", o.Row)
	}
	v := &victim{order: o, rand: rand.New(rand.NewPCG(o.Seed, 0))}
	return os.Getpid(), row.attack(ctx, v)
})

// double is a bystander's task. Noise is unlikely to equal its result.
var double = mp.Register("double", func(_ context.Context, n int) (int, error) { return doubled(n), nil })

func doubled(n int) int { return 1_000_000_007*n + 12345 }

type relayed struct{ In, Out *ipc.Queue[int] }

// relay takes an element from one queue and puts another one into the other queue.
var relay = mp.Register("relay", func(ctx context.Context, r relayed) (int, error) {
	n, err := r.In.Get(ctx)
	if err != nil {
		return 0, err
	}
	return n, r.Out.Put(ctx, doubled(n))
})

type counted struct {
	Mutex *ipc.Mutex
	Value *ipc.Value[int]
}

// count increments a value under a lock.
var count = mp.Register("count", func(ctx context.Context, c counted) (n int, err error) {
	if err := c.Mutex.Lock(ctx); err != nil {
		return 0, err
	}
	defer func() {
		if e := c.Mutex.Unlock(); err == nil {
			err = e
		}
	}()
	return n, c.Value.Update(ctx, func(v *int) error { *v++; n = *v; return nil })
})

type remembered struct {
	Dict *manager.Dict[string, int]
	Key  string
	N    int
}

// remember stores a number in a manager and reads it back.
var remember = mp.Register("remember", func(ctx context.Context, r remembered) (int, error) {
	if err := r.Dict.Set(ctx, r.Key, r.N); err != nil {
		return 0, err
	}
	n, ok, err := r.Dict.Get(ctx, r.Key)
	if err == nil && !ok {
		err = fmt.Errorf("%s is not there", r.Key)
	}
	return doubled(n), err
})

// load reads a value.
var load = mp.Register("load", func(ctx context.Context, v *ipc.Value[int]) (int, error) { return v.Load(ctx) })
