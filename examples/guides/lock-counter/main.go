// Guide "Introduction" (to multiprocessing), Module, Synchronizing Processes with Locks.
//
// The guide's lock guards nothing, since the guide's counter is not shared: see
// process-global-counter, which also explains why the guide's processes do not even get that far.
// Here the counter is shared too, and the lock and the counter are sent together, as one argument.
// The lock does what the guide says, and the counter is 10 in the end.
//
// A mere counter does not need a Mutex. An Atomic needs no lock (see value-array), and a Value has
// its own lock (see value-get-lock). A Mutex is for data that must stay consistent across several
// objects or files, or in a database.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

type shared struct {
	Lock    *ipc.Mutex
	Counter *ipc.Array[int] // with one element: memory without a lock
}

var increment = mp.RegisterAction("increment", func(ctx context.Context, s shared) (err error) {
	if err := s.Lock.Lock(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Lock.Unlock()) }()
	s.Counter.Slice()[0]++
	return nil
})

func main() {
	mp.Init()

	lock, err := ipc.NewMutex()
	if err != nil {
		log.Fatal(err)
	}
	defer lock.Close()
	counter, err := ipc.NewArray[int](1)
	if err != nil {
		log.Fatal(err)
	}
	defer counter.Close()

	var processes []*mp.Process[struct{}]
	for range 10 {
		p, err := mp.NewProcess(increment, shared{lock, counter}, mp.ProcessConfig{})
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
	fmt.Println("Final counter:", counter.Slice()[0])
}
