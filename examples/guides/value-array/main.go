// Guide "Multiprocessing" (sidebar position 14), Sharing Data Between Processes, Shared Memory with
// Value and Array.
//
// Differences in mp: for a number to which processes only add, use an Atomic, whose Add is atomic.
// The guide's counter.value += 1 is a read followed by a write, each of which takes the lock of the
// Value separately. The guide's counter is right only because a single process adds to it. With a
// second process, counts would get lost, and the locks that the guide's note mentions would be
// needed: see value-race.
//
// An Array has no lock at all. One process changes the Array, and main reads it after that process
// has ended, so no further synchronization is needed. Slice returns the shared memory itself.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

var incrementCounter = mp.RegisterAction("incrementCounter", func(_ context.Context, counter *ipc.Atomic[int]) error {
	for range 1000 {
		if _, err := counter.Add(1); err != nil {
			return err
		}
	}
	return nil
})

var modifyArray = mp.RegisterAction("modifyArray", func(_ context.Context, array *ipc.Array[float64]) error {
	elements := array.Slice()
	for i := range elements {
		elements[i] *= 2
	}
	return nil
})

func main() {
	mp.Init()
	ctx := context.Background()

	counter, err := ipc.NewAtomic(0)
	if err != nil {
		log.Fatal(err)
	}
	defer counter.Close()
	array, err := ipc.NewArray[float64](3)
	if err != nil {
		log.Fatal(err)
	}
	defer array.Close()
	copy(array.Slice(), []float64{1, 2, 3})

	p1, err := mp.NewProcess(incrementCounter, counter, mp.ProcessConfig{})
	if err != nil {
		log.Fatal(err)
	}
	p2, err := mp.NewProcess(modifyArray, array, mp.ProcessConfig{})
	if err != nil {
		log.Fatal(err)
	}

	for _, p := range []*mp.Process[struct{}]{p1, p2} {
		if err := p.Start(); err != nil {
			log.Fatal(err)
		}
	}
	for _, p := range []*mp.Process[struct{}]{p1, p2} {
		if _, err := p.Wait(ctx); err != nil {
			log.Fatal(err)
		}
	}

	final, err := counter.Load()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("Final counter:", final)
	fmt.Println("Modified array:", array.Slice())
}
