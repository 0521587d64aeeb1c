// Guide "Multiprocessing" (the one that begins "python Logo"), Example Code, the part "Example
// using multiprocessing.Pool".
//
// Differences in mp: none that matter. The comments in the guide's program have lost their # signs,
// so the program does not run as printed. Its with block does not close the pool but terminates it,
// which is harmless after a map. A task takes 100 ms instead of two seconds.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/go-multiprocessing/mp"
)

var work = mp.RegisterAction("work", func(_ context.Context, name string) error {
	fmt.Printf("Process %s: Starting work... (PID: %d)\n", name, os.Getpid())
	time.Sleep(100 * time.Millisecond) // simulates work
	fmt.Printf("Process %s: Finishing work. (PID: %d)\n", name, os.Getpid())
	return nil
})

func main() {
	mp.Init()
	const workers = 3

	fmt.Println("Main process: Starting Pool example.")
	pool, err := mp.NewPool(mp.PoolConfig{Workers: workers})
	if err != nil {
		log.Fatal(err)
	}

	var names []string
	for i := range workers {
		names = append(names, fmt.Sprintf("PoolWorker-%d", i+1))
	}
	if _, err := mp.Map(context.Background(), pool, work, names); err != nil {
		log.Fatal(err)
	}
	if err := pool.Close(); err != nil {
		log.Fatal(err)
	}
	fmt.Println("Main process: All pool worker processes finished.")
}
