// Guide "Multiprocessing_", multiprocessing.Pool (Older Style).
//
// Differences in mp: there is only one kind of pool, so there is no older style. The workers of a
// pool are processes; instead of the guide's pool of threads, a Go program uses goroutines. Four
// workers for five multiplications are a waste in either language: starting the workers takes
// milliseconds, and a multiplication takes a nanosecond.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/go-multiprocessing/mp"
)

var square = mp.Register("square", func(_ context.Context, n int) (int, error) {
	return n * n, nil
})

func main() {
	mp.Init()

	pool, err := mp.NewPool(mp.PoolConfig{Workers: 4})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()

	squares, err := mp.Map(context.Background(), pool, square, []int{1, 2, 3, 4, 5})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(squares)
}
