// Guide "Multiprocessing" (sidebar position 14), Basic Example: Running Simple Processes.
//
// Differences in mp: join does not report that a process has crashed, so the guide prints its last
// line in any case; Wait returns the error. Start returns when the process has answered, or with an
// error that says why the process cannot run. The output of a process is complete when Wait
// returns.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/go-multiprocessing/mp"
)

var task = mp.RegisterAction("task", func(_ context.Context, name string) error {
	fmt.Printf("Task %s running in process %d\n", name, os.Getpid())
	return nil
})

func main() {
	mp.Init()

	var processes []*mp.Process[struct{}]
	for i := range 3 {
		p, err := mp.NewProcess(task, fmt.Sprintf("Job-%d", i), mp.ProcessConfig{})
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
			log.Fatal(err)
		}
	}
	fmt.Println("All processes completed")
}
