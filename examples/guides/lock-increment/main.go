// Guide "Multiprocessing" (sidebar position 14), Synchronization Between Processes, Using Locks for
// Safe Access.
//
// The guide's program counts to 3, not to 15: it does not import os, so each of its processes dies
// of a NameError in its first print. join does not report the NameError, and the last line is
// printed as if nothing had failed. Here Wait returns a process's error, and a program that lacks
// an import does not compile.
//
// Differences in mp: the Mutex guards counting and printing together, so the Value needs no lock of
// its own (Unlocked); the guide's Value has one, and its program takes both. If a process is killed
// while it holds the lock, the other processes get ErrOwnerDied; the guide's processes would wait
// forever. Lines of different processes may appear in a different order from the one in which they
// were printed. A process counts every 10 ms instead of every 100.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

type shared struct {
	Lock    *ipc.Mutex
	Counter *ipc.Value[int]
}

var safeIncrement = mp.RegisterAction("safeIncrement", func(ctx context.Context, s shared) error {
	for range 5 {
		time.Sleep(10 * time.Millisecond) // simulates work
		if err := s.increment(ctx); err != nil {
			return err
		}
	}
	return nil
})

func (s shared) increment(ctx context.Context) (err error) {
	if err := s.Lock.Lock(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Lock.Unlock()) }()
	return s.Counter.Update(ctx, func(n *int) error {
		*n++
		fmt.Printf("Process %d incremented to %d\n", os.Getpid(), *n)
		return nil
	})
}

func main() {
	mp.Init()
	ctx := context.Background()

	lock, err := ipc.NewMutex()
	if err != nil {
		log.Fatal(err)
	}
	defer lock.Close()
	counter, err := ipc.NewValue(0, ipc.Unlocked())
	if err != nil {
		log.Fatal(err)
	}
	defer counter.Close()

	var processes []*mp.Process[struct{}]
	for range 3 {
		p, err := mp.NewProcess(safeIncrement, shared{lock, counter}, mp.ProcessConfig{})
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

	final, err := counter.Load(ctx) // the other processes have ended
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("Final counter value:", final)
}
