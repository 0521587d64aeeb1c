// Guide "Multiprocessing_", Sharing Data Between Two Processes, Queue.
//
// Differences in mp: a queue has an element type, which the compiler checks. If the guide's sender
// dies before it has put anything, the guide's receiver waits forever. Here main closes the queue
// when the sender has ended, so the receiver would get mp.ErrClosed.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

var send = mp.RegisterAction("send", func(ctx context.Context, q *ipc.Queue[string]) error {
	return q.Put(ctx, "Hello from Process 1")
})

var receive = mp.RegisterAction("receive", func(ctx context.Context, q *ipc.Queue[string]) error {
	msg, err := q.Get(ctx)
	if err != nil {
		return err
	}
	fmt.Println("Received:", msg)
	return nil
})

func main() {
	mp.Init()
	ctx := context.Background()

	q, err := ipc.NewQueue[string]()
	if err != nil {
		log.Fatal(err)
	}
	defer q.Discard()

	var processes []*mp.Process[struct{}]
	for _, f := range []*mp.Func[*ipc.Queue[string], struct{}]{send, receive} {
		p, err := mp.NewProcess(f, q, mp.ProcessConfig{})
		if err != nil {
			log.Fatal(err)
		}
		if err := p.Start(); err != nil {
			log.Fatal(err)
		}
		processes = append(processes, p)
	}
	_, sent := processes[0].Wait(ctx)
	closed := q.Close() // Get still returns elements that were put
	_, received := processes[1].Wait(ctx)
	if err := errors.Join(sent, closed, received); err != nil {
		log.Fatal(err)
	}
}
