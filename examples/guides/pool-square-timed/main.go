// Guide "Multiprocessing in Python", Process Pools, "Another example".
//
// Differences in mp: none that matter. The guide describes a sleeping task as CPU-bound, and prints
// its headline outside the __main__ guard, so that each spawned worker prints the headline again.
// In Go only this process runs the part of main after Init. Ten tasks of 50 ms (100 in the guide)
// on four workers take three rounds.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/go-multiprocessing/mp"
)

var square = mp.Register("square", func(_ context.Context, n int) (int, error) {
	fmt.Printf("Process %d: Calculating square of %d...\n", os.Getpid(), n)
	time.Sleep(50 * time.Millisecond) // shows that tasks run at the same time
	return n * n, nil
})

func main() {
	mp.Init()

	fmt.Println("--- Pool example ---")
	start := time.Now()
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 4})
	if err != nil {
		log.Fatal(err)
	}
	squares, err := mp.Map(context.Background(), pool, square, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10})
	if err != nil {
		log.Fatal(err)
	}
	if err := pool.Close(); err != nil {
		log.Fatal(err)
	}

	fmt.Println("Results:", squares)
	fmt.Printf("Total time: %.2f seconds\n", time.Since(start).Seconds())
}
