// Guide "Multiprocessing" (sidebar position 14), Sharing Data Between Processes, Using
// Queues for Communication.
//
// What is different in mp: no None is put as a "poison pill". It takes one for each
// consumer, only after all producers have ended, and a queue of strings has none. Close
// says that there will be no more, to all consumers, and All ends when everything has
// been got.
//
// If the guide's producer crashes, join says nothing, and the consumer gets what there is
// as if it were all. Here Wait tells. The queue is closed in either case: that a producer
// died does not close it, for there may be others.
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

	queue, err := ipc.NewQueue[string](ipc.QueueConfig{})
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
	err = errors.Join(err, queue.Close()) // tells the consumer, whatever became of the producer
	_, err2 := p2.Wait(ctx)
	if err := errors.Join(err, err2); err != nil {
		log.Fatal(err)
	}
}
