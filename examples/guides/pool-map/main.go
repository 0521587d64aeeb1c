// Guide "Multiprocessing" (sidebar position 14), Process Pools, Basic Example.
//
// Differences in mp: a Go function cannot be sent to another process, so square is registered, and
// Init takes the place of Python's __main__ guard. A task takes 100 ms instead of the guide's
// second.
//
// The workers' output passes through this process, in whole lines. The output is complete when the
// pool is closed, so this program closes the pool before it prints the last line. The guide's lines
// can get mixed up, since its workers share a terminal.
package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/go-multiprocessing/mp"
)

var square = mp.Register("square", func(_ context.Context, x int) (int, error) {
	fmt.Printf("Processing %d\n", x)
	time.Sleep(100 * time.Millisecond) // simulates work
	return x * x, nil
})

func main() {
	mp.Init()

	pool, err := mp.NewPool(mp.PoolConfig{Workers: 3})
	if err != nil {
		log.Fatal(err)
	}
	squares, err := mp.Map(context.Background(), pool, square, []int{1, 2, 3, 4, 5})
	if err != nil {
		log.Fatal(err)
	}
	if err := pool.Close(); err != nil {
		log.Fatal(err)
	}

	fmt.Println("Squares:", squares) // after about 200 ms, not 500
}
