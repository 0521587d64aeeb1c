// Guide "Multiprocessing in Python", Process Communication, Queues: "The Sentinel Pattern (for
// multiple consumers)".
//
// A value that means the end works in mp as it does in the guide. It is a nil pointer here and None
// in the guide, and the producer puts one for each consumer. This approach has the same weaknesses
// as in the guide. The producer must know how many consumers there are. A consumer that dies leaves
// its sentinel to another consumer, which is harmless here. A producer that dies puts no sentinels,
// and then the guide's consumers wait forever. Here main closes the queue when the producer has
// ended, however it ended, so that no consumer waits forever.
//
// It is better to use no sentinels and to close the queue: see queue-consumers.
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
