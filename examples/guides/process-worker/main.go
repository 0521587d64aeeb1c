// Guide "Multiprocessing" (the one that begins "python Logo"), Example Code, the part before
// "Example using multiprocessing.Pool" (that is pool-worker).
//
// Differences in mp: a process has a name, which its function can ask for, so the guide's argument
// is not needed. (Python's processes have names too.) The comments in the guide's program have lost
// their # signs, so the program does not run as printed. A task takes 100 ms instead of two
// seconds.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/go-multiprocessing/mp"
)

var work = mp.RegisterAction("work", func(context.Context, struct{}) error {
	name := mp.Current().Name
	fmt.Printf("Process %s: Starting work... (PID: %d)\n", name, os.Getpid())
	time.Sleep(100 * time.Millisecond) // simulates work
	fmt.Printf("Process %s: Finishing work. (PID: %d)\n", name, os.Getpid())
	return nil
})

func main() {
	mp.Init()

	fmt.Println("Main process: Starting Process example.")
	start := time.Now()
	var processes []*mp.Process[struct{}]
	for i := range 3 {
		p, err := mp.NewProcess(work, struct{}{}, mp.ProcessConfig{Name: fmt.Sprintf("Worker-%d", i+1)})
		if err != nil {
			log.Fatal(err)
		}
		if err := p.Start(); err != nil {
			log.Fatal(err)
		}
		processes = append(processes, p)
	}
	for _, p := range processes {
		if _, err := p.Wait(context.Background()); err != nil {
			log.Fatalf("%s: %v", p.Name(), err)
		}
	}

	// This takes about 0.1 seconds, not 0.3, since the processes run at the same time.
	fmt.Printf("Main process: All worker processes finished in %.2f seconds.\n", time.Since(start).Seconds())
	fmt.Println("This demonstrates concurrent execution: each worker runs in parallel.")
}
