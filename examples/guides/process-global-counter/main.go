// Guide "Introduction" (to multiprocessing), Module, Synchronizing Processes with Locks.
//
// The guide is wrong: its counter is a global variable, of which each of the ten processes has its
// own copy, so main's counter is 0 in the end, and the lock guards nothing. This program has no
// lock. (The guide's processes do not even get that far. Where Python forks, each process dies of a
// TypeError, since increment takes no argument but gets the lock. Elsewhere, each process dies of a
// RuntimeError, since there is no __main__ guard. join reports neither error. In Go, a call with
// the wrong arguments does not compile.)
//
// Processes that share nothing need no lock: each process returns its count, and main adds up the
// counts. For a shared counter that needs the lock, see lock-counter.
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
