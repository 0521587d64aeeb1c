// Guide "Multiprocessing" (the one that begins "python Logo"), Synchronization Primitives,
// Semaphore: the guide has only the sentence that a semaphore lets a limited number of processes
// use a resource; here is a program that shows this. Four workers do eight tasks, and at most two
// of them use the resource at any time.
//
// Differences in mp: Semaphore is like Python's. To limit the processes, this program uses
// BoundedSemaphore, which knows which processes hold its permits: the permits of a worker that dies
// come back. With a Semaphore, in Python or mp, the permits of a dead process are lost, and when
// all permits are lost, the other processes wait forever. (Python's BoundedSemaphore only detects
// that it is released too many times; mp's also detects this.)
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

type resource struct {
	Permits *ipc.BoundedSemaphore
	Inside  *ipc.Atomic[int]
}

// visit uses the resource, and returns how many tasks, including this one, were using it when this
// task began.
var visit = mp.Register("visit", func(ctx context.Context, r resource) (inside int, err error) {
	if err := r.Permits.Acquire(ctx); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.Permits.Release()) }()
	if inside, err = r.Inside.Add(1); err != nil {
		return 0, err
	}
	time.Sleep(10 * time.Millisecond) // uses the resource
	_, err = r.Inside.Add(-1)
	return inside, err
})

func main() {
	mp.Init()
	ctx := context.Background()

	const permits = 2
	semaphore, err := ipc.NewBoundedSemaphore(permits)
	if err != nil {
		log.Fatal(err)
	}

	defer semaphore.Close()
	inside, err := ipc.NewAtomic(0)
	if err != nil {
		log.Fatal(err)
	}
	defer inside.Close()

	pool, err := mp.NewPool(mp.PoolConfig{Workers: 4})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	visits, err := mp.Map(ctx, pool, visit, slices.Repeat([]resource{{semaphore, inside}}, 8))
	if err != nil {
		log.Fatal(err)
	}
	free, err := semaphore.Available()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d visits, never more than %d at once: %t\n", len(visits), permits, slices.Max(visits) <= permits)
	fmt.Println("Permits at the end:", free)
}
