// Guide "Multiprocessing_", Sharing Data Between Two Processes, Value: the guide says "Race
// condition possible", and guide "Multiprocessing" (sidebar position 14) "For shared variables, you
// should use locks to prevent race conditions"; here is a program that shows the race.
//
// A program with a race gives the right result most of the time. To make the race certain, each
// process waits at a Barrier between reading and writing until the other process has read too. Both
// processes read 0 and write 1, and one count is lost. The Value's lock does not help, since Load
// and Store each take and release it. With Update, or with a Mutex that is held from the read to
// the write, no count is lost.
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
	Number  *ipc.Value[int]
	Lock    *ipc.Mutex
	Barrier *ipc.Barrier
}

// race is the guide's val.value += 1.
var race = mp.RegisterAction("race", func(ctx context.Context, s shared) error {
	n, err := s.Number.Load(ctx)
	if err != nil {
		return err
	}
	if _, err := s.Barrier.Wait(ctx); err != nil {
		return err
	}
	return s.Number.Store(ctx, n+1)
})

var update = mp.RegisterAction("update", func(ctx context.Context, s shared) error {
	return s.Number.Update(ctx, func(n *int) error {
		*n++
		return nil
	})
})

var lockAndStore = mp.RegisterAction("lockAndStore", func(ctx context.Context, s shared) (err error) {
	if err := s.Lock.Lock(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Lock.Unlock()) }()
	n, err := s.Number.Load(ctx)
	if err != nil {
		return err
	}
	return s.Number.Store(ctx, n+1)
})

func main() {
	mp.Init()
	ctx := context.Background()

	for _, way := range []struct {
		name      string
		increment *mp.Func[shared, struct{}]
	}{
		{"Load and Store", race},
		{"Update", update},
		{"Load and Store with a lock", lockAndStore},
	} {
		final, err := countTwice(ctx, way.increment)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %d\n", way.name, final)
	}
}

// countTwice runs increment in two processes at the same time, and returns the resulting number.
func countTwice(ctx context.Context, increment *mp.Func[shared, struct{}]) (int, error) {
	number, err := ipc.NewValue(0)
	if err != nil {
		return 0, err
	}
	defer number.Close()
	lock, err := ipc.NewMutex()
	if err != nil {
		return 0, err
	}
	defer lock.Close()
	barrier, err := ipc.NewBarrier(2)
	if err != nil {
		return 0, err
	}
	defer barrier.Close()

	var processes []*mp.Process[struct{}]
	for range 2 {
		p, err := mp.NewProcess(increment, shared{number, lock, barrier}, mp.ProcessConfig{})
		if err != nil {
			return 0, err
		}
		if err := p.Start(); err != nil {
			return 0, err
		}
		processes = append(processes, p)
	}

	for _, p := range processes {
		if _, err := p.Wait(ctx); err != nil {
			return 0, err
		}
	}

	return number.Load(ctx)
}
