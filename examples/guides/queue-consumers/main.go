// Guide "Multiprocessing in Python", Process Communication, Queues.
//
// Differences in mp: the guide's producer must know the number of consumers, since it puts one None
// for each. Closing a queue tells all consumers, however many there are. Here the producer closes
// the queue, since there is only one producer. Each consumer returns how many messages it got;
// together, the consumers got each message exactly once.
//
// The queue is bounded: a producer that is faster than its consumers waits. The guide's queue has
// no bound, so it grows. The pauses are 10 and 20 ms instead of up to 0.8 seconds.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

var produce = mp.Register("produce", func(ctx context.Context, queue *ipc.Queue[string]) (_ int, err error) {
	defer func() { err = errors.Join(err, queue.Close()) }() // so that the consumers do not wait for more
	fmt.Println("Producer: Starting to produce 10 messages...")
	for i := range 10 {
		message := fmt.Sprintf("Message %d", i)
		fmt.Printf("Producer: Putting '%s' on queue\n", message)
		if err := queue.Put(ctx, message); err != nil {
			return i, err
		}
		time.Sleep(10 * time.Millisecond) // simulates work
	}
	return 10, nil
})

var consume = mp.Register("consume", func(ctx context.Context, queue *ipc.Queue[string]) (n int, err error) {
	name := mp.Current().Name
	for message, err := range queue.All(ctx) {
		if err != nil {
			return n, err
		}
		fmt.Printf("Consumer %s: Got '%s' from queue\n", name, message)
		n++
		time.Sleep(20 * time.Millisecond) // simulates work
	}
	fmt.Printf("Consumer %s: The queue is closed, exiting.\n", name)
	return n, nil
})

func main() {
	mp.Init()
	ctx := context.Background()

	fmt.Println("--- Multiprocessing with Queue Example ---")
	queue, err := ipc.NewQueue[string]()
	if err != nil {
		log.Fatal(err)
	}
	defer queue.Discard()

	var processes []*mp.Process[int]
	start := func(f *mp.Func[*ipc.Queue[string], int], name string) {
		p, err := mp.NewProcess(f, queue, mp.ProcessConfig{Name: name})
		if err != nil {
			log.Fatal(err)
		}
		if err := p.Start(); err != nil {
			log.Fatal(err)
		}
		processes = append(processes, p)
	}
	start(produce, "Producer")
	start(consume, "C-1")
	start(consume, "C-2")

	var counts []int
	for _, p := range processes {
		n, err := p.Wait(ctx)
		// A producer that was killed has not closed the queue.
		if err = errors.Join(err, queue.Close()); err != nil {
			log.Fatalf("%s: %v", p.Name(), err)
		}
		counts = append(counts, n)
	}
	fmt.Printf("%d messages put, %d got\n", counts[0], counts[1]+counts[2])
}
