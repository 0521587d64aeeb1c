// Guide "Multiprocessing_", Sharing Data Between Two Processes, Pipe.
//
// The guide's main keeps both ends of the pipe; where Python forks, its children keep both ends
// too. This does no harm as long as all messages arrive and all processes live. But if process1
// dies before it sends, process2 waits forever, since other processes could still send.
//
// Each end both sends and receives, as in the guide, but the guide's program uses only one
// direction. For both directions see pipe-dialogue.
//
// Differences in mp: an end that is sent to a process is held by that process alone. When process1
// is gone, its end is closed, and process2 would receive io.EOF. A process that closes its end lets
// the other know sooner; here the calls of Close could be left out, since the processes end right
// after them.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

var process1 = mp.RegisterAction("process1", func(ctx context.Context, conn *ipc.Conn[string]) error {
	if err := conn.Send(ctx, "Hello from P1"); err != nil {
		return err
	}
	return conn.Close() // messages that were sent can still be received
})

var process2 = mp.RegisterAction("process2", func(ctx context.Context, conn *ipc.Conn[string]) error {
	msg, err := conn.Recv(ctx)
	if err != nil {
		return err
	}
	fmt.Println("Received:", msg)
	return conn.Close()
})

func main() {
	mp.Init()

	end1, end2, err := ipc.NewPipe[string]()
	if err != nil {
		log.Fatal(err)
	}
	p1, err := mp.NewProcess(process1, end1, mp.ProcessConfig{})
	if err != nil {
		log.Fatal(err)
	}
	p2, err := mp.NewProcess(process2, end2, mp.ProcessConfig{})
	if err != nil {
		log.Fatal(err)
	}

	for _, p := range []*mp.Process[struct{}]{p1, p2} {
		if err := p.Start(); err != nil {
			log.Fatal(err)
		}
	}
	for _, p := range []*mp.Process[struct{}]{p1, p2} {
		if _, err := p.Wait(context.Background()); err != nil {
			log.Fatal(err)
		}
	}
}
