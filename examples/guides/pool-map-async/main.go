// Guide "Multiprocessing" (sidebar position 14), Process Pools, Async Example (Non-Blocking).
//
// Differences in mp: MapAsync returns a future, whose Result takes a context where Python's get
// takes a timeout. The default number of workers is the number of processors that this process may
// use, according to its affinity and cgroup. Before Python 3.13, Pool() starts a worker for every
// processor of the machine.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/go-multiprocessing/mp"
)

var cube = mp.Register("cube", func(_ context.Context, x int) (int, error) {
	return x * x * x, nil
})

func main() {
	mp.Init()
	ctx := context.Background()

	pool, err := mp.NewPool(mp.PoolConfig{})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()

	future := mp.MapAsync(ctx, pool, cube, []int{1, 2, 3})
	fmt.Println("Main goroutine working...")

	cubes, err := future.Result(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cubes)
}
