// Guide "Multiprocessing_", Sharing Data Between Two Processes, Value.
//
// The guide's program has a race, and the guide says so: val.value += 1 reads and writes in two
// steps, so the program usually prints 2 but sometimes 1. Differences in mp: Update is atomic,
// since it holds the lock of the Value, so this program always prints 2. value-race shows the
// effect of the guide's race.
//
// mp's Value has a Go type. The guide's type 'f' is not a Python float but a float of only 32 bits:
// 0.1 comes back as 0.10000000149011612.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

var increment = mp.RegisterAction("increment", func(ctx context.Context, number *ipc.Value[int]) error {
	return number.Update(ctx, func(n *int) error {
		*n++
		return nil
	})
})

func main() {
	mp.Init()
	ctx := context.Background()

	number, err := ipc.NewValue(0)
	if err != nil {
		log.Fatal(err)
	}
	defer number.Close()

	var processes []*mp.Process[struct{}]
	for range 2 {
		p, err := mp.NewProcess(increment, number, mp.ProcessConfig{})
		if err != nil {
			log.Fatal(err)
		}
		if err := p.Start(); err != nil {
			log.Fatal(err)
		}
		processes = append(processes, p)
	}
	for _, p := range processes {
		if _, err := p.Wait(ctx); err != nil {
			log.Fatal(err)
		}
	}

	final, err := number.Load(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("Final value:", final)
}
