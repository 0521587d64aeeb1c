// Guide "Introduction" (to multiprocessing), Module, Inter-Process Communication with Queues.
//
// The guide's producer prints the numbers but puts none of them into the queue, so the consumer
// finds the queue empty and prints nothing. If the producer did put the numbers, the program would
// work only because the producer ends before the consumer starts: what empty returns may be out of
// date at once. If both ran at the same time, an element that was put might not be in Python's pipe
// yet. With a second consumer, the last element might be gone when get asks for it, and get would
// wait forever.
//
// Here the producer puts the numbers and closes the queue. All yields the elements, waits while
// there may be more, and ends when there can be no more. The two processes could run at the same
// time; running one after the other, as in the guide, works because the queue has room for all
// numbers.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

var produce = mp.RegisterAction("produce", func(ctx context.Context, queue *ipc.Queue[int]) (err error) {
	defer func() { err = errors.Join(err, queue.Close()) }()
	for i := range 5 {
		if err := queue.Put(ctx, i); err != nil {
			return err
		}
	}
	return nil
})

var consume = mp.RegisterAction("consume", func(ctx context.Context, queue *ipc.Queue[int]) error {
	for i, err := range queue.All(ctx) {
		if err != nil {
			return err
		}
		fmt.Println(i)
	}
	return nil
})

func main() {
	mp.Init()

	queue, err := ipc.NewQueue[int]()
	if err != nil {
		log.Fatal(err)
	}
	defer queue.Discard()

	for _, f := range []*mp.Func[*ipc.Queue[int], struct{}]{produce, consume} {
		p, err := mp.NewProcess(f, queue, mp.ProcessConfig{})
		if err != nil {
			log.Fatal(err)
		}
		if err := p.Start(); err != nil {
			log.Fatal(err)
		}
		if _, err := p.Wait(context.Background()); err != nil {
			log.Fatal(err)
		}
	}
}
