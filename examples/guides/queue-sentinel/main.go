// Guide "Multiprocessing in Python", Process Communication, Queues: "The Sentinel Pattern (for
// multiple consumers)".
//
// A value that means the end works in mp as in the guide: here it is a nil pointer, in the guide
// None, and the producer puts one for each consumer. It has the guide's weaknesses as well. The
// producer must know how many consumers there are. A consumer that dies leaves its sentinel to
// another one, which is harmless here. A producer that dies puts none, and then the guide's
// consumers wait forever. Here main closes the queue when the producer has ended in any way, so
// that no consumer waits forever.
//
// It is better to put no sentinels and close the queue: see queue-consumers.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

type production struct {
	Queue     *ipc.Queue[*string]
	Consumers int
}

var produce = mp.Register("produce", func(ctx context.Context, p production) (int, error) {
	for i := range 10 {
		message := fmt.Sprintf("Message %d", i)
		if err := p.Queue.Put(ctx, &message); err != nil {
			return i, err
		}
	}
	for range p.Consumers {
		if err := p.Queue.Put(ctx, nil); err != nil {
			return 10, err
		}
	}
	return 10, nil
})

var consume = mp.Register("consume", func(ctx context.Context, queue *ipc.Queue[*string]) (n int, err error) {
	for {
		message, err := queue.Get(ctx)
		if err != nil {
			return n, err
		}
		if message == nil {
			fmt.Println("Consumer: Received sentinel, exiting.")
			return n, nil
		}
		n++
	}
})

func main() {
	mp.Init()
	ctx := context.Background()

	queue, err := ipc.NewQueue[*string]()
	if err != nil {
		log.Fatal(err)
	}
	defer queue.Discard()

	const consumers = 2
	producer, err := mp.NewProcess(produce, production{queue, consumers}, mp.ProcessConfig{})
	if err != nil {
		log.Fatal(err)
	}
	processes := []*mp.Process[int]{producer}
	for range consumers {
		p, err := mp.NewProcess(consume, queue, mp.ProcessConfig{})
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

	var counts []int
	for _, p := range processes {
		n, err := p.Wait(ctx)
		// A producer that was killed has put no sentinel.
		if err = errors.Join(err, queue.Close()); err != nil {
			log.Fatal(err)
		}
		counts = append(counts, n)
	}
	fmt.Printf("%d messages put, %d got\n", counts[0], counts[1]+counts[2])
}
