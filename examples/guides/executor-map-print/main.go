// Guide "Multiprocessing_", ProcessPoolExecutor, the program.
//
// Differences in mp: Pool is also the executor. The guide drops the result of executor.map, and
// every error with it; this program checks for errors. (executor.map itself does not wait; leaving
// the with block does.) The two lines that a task in the guide prints can be separated by lines of
// other tasks; here a task prints a single line. A task takes 50 ms instead of 200.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/go-multiprocessing/mp"
)

var printSquare = mp.RegisterAction("printSquare", func(_ context.Context, n int) error {
	time.Sleep(50 * time.Millisecond)
	fmt.Printf("Square of %d: %d, calculated by process %d\n", n, n*n, os.Getpid())
	return nil
})

func main() {
	mp.Init()
	ctx := context.Background()

	executor, err := mp.NewPool(mp.PoolConfig{Workers: 4})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := mp.Map(ctx, executor, printSquare, []int{2, 3, 4, 5}); err != nil {
		log.Fatal(err)
	}
	if err := executor.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}

	fmt.Println("Done!")
}
