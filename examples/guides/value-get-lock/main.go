// Guide "Introduction" (to multiprocessing), Module, Sharing State Between Processes.
//
// Differences in mp: "with shared_value.get_lock()" can be forgotten; Update takes the lock itself.
// Update is all or nothing: if its function returns an error or panics, the Value stays as it was.
// If a process is killed during Update, the next process to use the Value gets ErrOwnerDied and can
// repair the Value with Recover; in Python the next process waits forever. (The guide's program has
// no __main__ guard. Where Python spawns its processes, the program prints 0, since each process
// has died.)
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

var increment = mp.RegisterAction("increment", func(ctx context.Context, value *ipc.Value[int]) error {
	return value.Update(ctx, func(n *int) error {
		*n++
		return nil
	})
})

func main() {
	mp.Init()
	ctx := context.Background()

	value, err := ipc.NewValue(0)
	if err != nil {
		log.Fatal(err)
	}
	defer value.Close()

	var processes []*mp.Process[struct{}]
	for range 10 {
		p, err := mp.NewProcess(increment, value, mp.ProcessConfig{})
		if err != nil {
			log.Fatal(err)
		}
		processes = append(processes, p)
	}
	for _, p := range processes {
		if err := p.Start(); err != nil {
			log.Fatal(err)
		}
	}
	for _, p := range processes {
		if _, err := p.Wait(ctx); err != nil {
			log.Fatal(err)
		}
	}

	final, err := value.Load(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("Final value:", final)
}
