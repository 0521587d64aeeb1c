// Guide "Introduction" (to multiprocessing), Module, Using Process Pool.
//
// Differences in mp: the guide's program has no __main__ guard, so it never ends where Python
// spawns its workers: each worker dies at once, and the pool starts another. Without Init, mp
// starts no workers and returns mp.ErrNotInitialized.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/go-multiprocessing/mp"
)

var addition = mp.Register("addition", func(_ context.Context, n int) (int, error) {
	return n + 3, nil
})

func main() {
	mp.Init()

	pool, err := mp.NewPool(mp.PoolConfig{})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()

	sums, err := mp.Map(context.Background(), pool, addition, []int{1, 2, 3, 4, 5})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(sums)
}
