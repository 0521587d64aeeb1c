// Guide "Multiprocessing" (sidebar position 14), Sharing Data Between Processes, Using Queues for
// Communication.
//
// Differences in mp: no None is used as a "poison pill". That would take one None for each
// consumer, after all producers have ended, and a queue of strings cannot contain None. Close tells
// all consumers that there will be no more elements, and All ends when all elements have been
// received.
//
// If the guide's producer crashes, join does not report the crash, and the consumer takes the
// elements so far for all of them. Here Wait returns the error. Main closes the queue whether or
// not there was an error: the death of a producer does not close a queue, since there may be other
// producers.
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
	Queue *ipc.Queue[string]
	Items []string
}

var produce = mp.RegisterAction("produce", func(ctx context.Context, p production) error {
	for _, item := range p.Items {
		fmt.Println("Producing", item)
		if err := p.Queue.Put(ctx, item); err != nil {
			return err
		}
	}
	return nil
})

var consume = mp.RegisterAction("consume", func(ctx context.Context, queue *ipc.Queue[string]) error {
	for item, err := range queue.All(ctx) {
		if err != nil {
			return err
		}
		fmt.Println("Consuming", item)
	}
	return nil
})

func main() {
	mp.Init()
	ctx := context.Background()

	queue, err := ipc.NewQueue[string]()
	if err != nil {
		log.Fatal(err)
	}
	defer queue.Discard()

	p1, err := mp.NewProcess(produce, production{queue, []string{"A", "B", "C", "D"}}, mp.ProcessConfig{})
	if err != nil {
		log.Fatal(err)
	}
	p2, err := mp.NewProcess(consume, queue, mp.ProcessConfig{})
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range []*mp.Process[struct{}]{p1, p2} {
		if err := p.Start(); err != nil {
			log.Fatal(err)
		}
	}

	_, err = p1.Wait(ctx)
	err = errors.Join(err, queue.Close()) // tells the consumer, whatever happened to the producer
	_, err2 := p2.Wait(ctx)
	if err := errors.Join(err, err2); err != nil {
		log.Fatal(err)
	}
}
