// Guide "Introduction" (to multiprocessing), Module, Synchronizing Processes with
// Locks.
//
// The guide is wrong: its counter is a global variable, of which each of the ten
// processes has its own, so it ends as 0, and the lock guards nothing; here there
// is none. (Nor does a process of the guide come that far: each dies of a TypeError
// where Python forks, for increment takes no argument and gets the lock, and else of a
// RuntimeError, for want of a __main__ guard. join says nothing of that. In Go such a
// call does not compile.)
//
// Where the processes share nothing, they need no lock: each returns what it
// counted, and main adds that up. For a counter that is shared, and needs the lock,
// see lock-counter.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/go-multiprocessing/mp"
)

var counter int

var increment = mp.Register("increment", func(context.Context, struct{}) (int, error) {
	counter++ // this process's own
	return counter, nil
})

func main() {
	mp.Init()

	var processes []*mp.Process[int]
	for range 10 {
		p, err := mp.NewProcess(increment, struct{}{}, mp.ProcessConfig{})
		if err != nil {
			log.Fatal(err)
		}
		if err := p.Start(); err != nil {
			log.Fatal(err)
		}
		processes = append(processes, p)
	}

	sum := 0
	for _, p := range processes {
		counted, err := p.Wait(context.Background())
		if err != nil {
			log.Fatal(err)
		}
		sum += counted
	}
	fmt.Println("Final counter:", counter)
	fmt.Println("Sum of what the processes returned:", sum)
}
