// Guide "Multiprocessing_", multiprocessing.Pool (Older Style).
//
// What is different in mp: there is one pool, so nothing is of an older style.
// Its workers are processes, and what the guide calls a pool of threads is
// goroutines in Go. Four workers for five multiplications are a waste in either
// language: to start them takes milliseconds, a multiplication a nanosecond.
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
