// Guide "Multiprocessing in Python", Creating and Starting Processes.
//
// Differences in mp: Python's Process loses its target's return value, so the guide's target can
// only print; Wait returns the value. NumCPU counts the processors that this process may use;
// psutil counts all processors of the machine. The guide prints its headline outside the __main__
// guard, so that each spawned process prints the headline again. In Go only this process runs the
// part of main after Init.
//
// The guide wrongly says that without the guard, processes would start processes in an infinite
// loop. In fact, each process dies of a RuntimeError when it tries to start another. Without Init,
// mp starts no processes and returns mp.ErrNotInitialized.
//
// The guide's N is unchanged: a task takes some tens of milliseconds in Go, and its sums need more
// than 64 bits, which Python's integers hide. Goroutines could do this work too, since Go has no
// global lock; processes isolate crashes and heaps.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"math/big"
	"math/bits"
	"os"
	"time"

	"github.com/go-multiprocessing/mp"
)

type work struct {
	Name string
	N    uint64
}

// sumOfSquares is a plain function, since main calls it too.
func sumOfSquares(_ context.Context, w work) (*big.Int, error) {
	fmt.Printf("Process %s (PID: %d) starting...\n", w.Name, os.Getpid())
	var hi, lo, carry uint64
	for i := range w.N {
		lo, carry = bits.Add64(lo, i*i, 0)
		hi += carry
	}
	sum := new(big.Int).SetUint64(hi)
	sum.Lsh(sum, 64).Or(sum, new(big.Int).SetUint64(lo))
	fmt.Printf("Process %s: Finished. Result (truncated): %.10s...\n", w.Name, sum.String())
	return sum, nil
}

var sumElsewhere = mp.Register("sumOfSquares", sumOfSquares)

func main() {
	mp.Init()
	ctx := context.Background()
	n := flag.Uint64("n", 50_000_000, "numbers that a task squares and adds up")
	flag.Parse()

	fmt.Println("--- Multiprocessing Basic Example ---")
	fmt.Println("Total CPU cores available:", mp.NumCPU())
	fmt.Printf("Main process (PID: %d) is running.\n", os.Getpid())

	fmt.Println("--- Running tasks synchronously in the main process ---")
	start := time.Now()
	for _, name := range []string{"Sync-1", "Sync-2"} {
		if _, err := sumOfSquares(ctx, work{name, *n}); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Printf("Synchronous execution time: %.2f seconds\n", time.Since(start).Seconds())

	fmt.Println("--- Running tasks in parallel with multiprocessing ---")
	var processes []*mp.Process[*big.Int]
	for _, name := range []string{"Proc-1", "Proc-2"} {
		p, err := mp.NewProcess(sumElsewhere, work{name, *n}, mp.ProcessConfig{})
		if err != nil {
			log.Fatal(err)
		}
		processes = append(processes, p)
	}

	start = time.Now()
	for _, p := range processes {
		if err := p.Start(); err != nil {
			log.Fatal(err)
		}
	}
	var sums []*big.Int
	for _, p := range processes {
		sum, err := p.Wait(ctx)
		if err != nil {
			log.Fatal(err)
		}
		sums = append(sums, sum)
	}
	fmt.Printf("Multiprocessed execution time (CPU-bound): %.2f seconds\n", time.Since(start).Seconds()) // about half
	fmt.Println("Results:", sums)
}
