// Guide "Introduction" (to multiprocessing), Module, Sharing State Between
// Processes.
//
// What is different in mp: "with shared_value.get_lock()" can be forgotten; Update
// takes the lock itself. It is all or nothing: if its function returns an error or
// panics, the Value stays as it was. That a process was killed in it is told to
// the next one by ErrOwnerDied, and Recover makes that good; in Python the next
// one waits for ever. (Where Python spawns its processes the guide's program, which has no
// __main__ guard, prints 0: each of them has died.)
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

	value, err := ipc.NewValue(0, ipc.ValueConfig{})
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
