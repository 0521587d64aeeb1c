// Guide "Multiprocessing_", ProcessPoolExecutor Methods, shutdown().
//
// Shutdown is like shutdown(wait=True): it accepts no new tasks and finishes all accepted tasks,
// not only the running ones as the guide says. Differences in mp: the context limits how long
// Shutdown waits; when the context ends, Shutdown ends the remaining tasks. To end all tasks at
// once, use Close.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/go-multiprocessing/mp"
)

var square = mp.Register("square", func(_ context.Context, n int) (int, error) {
	time.Sleep(10 * time.Millisecond)
	return n * n, nil
})

func main() {
	mp.Init()
	ctx := context.Background()

	executor, err := mp.NewPool(mp.PoolConfig{Workers: 2})
	if err != nil {
		log.Fatal(err)
	}
	var futures []*mp.Future[int]
	for n := range 5 {
		futures = append(futures, mp.Submit(ctx, executor, square, n))
	}
	if err := executor.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}

	for _, future := range futures {
		result, err := future.Result(ctx) // does not wait: the result is already here
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(result)
	}
	_, err = mp.Call(ctx, executor, square, 5)
	fmt.Println("closed:", errors.Is(err, mp.ErrClosed))
}
