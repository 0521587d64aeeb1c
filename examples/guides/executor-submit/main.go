// Guide "Multiprocessing_", ProcessPoolExecutor Methods, submit().
//
// Differences in mp: Submit's context governs the task's whole life, so a deadline ends even a task
// that hangs. The end of Result's context ends only the waiting. If the result is needed at once,
// as here, mp.Call submits the task and waits in one call.
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
	ctx := context.Background()

	executor, err := mp.NewPool(mp.PoolConfig{Workers: 1}) // one task, one worker
	if err != nil {
		log.Fatal(err)
	}
	defer executor.Close()

	future := mp.Submit(ctx, executor, square, 4)
	result, err := future.Result(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result)
}
