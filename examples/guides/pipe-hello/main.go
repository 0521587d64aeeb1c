// Guide "Multiprocessing_", Sharing Data Between Two Processes, Pipe.
//
// The guide's main keeps both ends, and so, where Python forks, do its children. As long as
// both messages and processes are well, nobody notices; if process1 dies before it sends,
// process2 waits for ever, for there is still somebody who could send.
//
// Each end both sends and receives, as in the guide, whose program uses one direction only; there
// and back is pipe-dialogue.
//
// What is different in mp: an end that was sent is the receiver's alone. When process 1 is
// gone, so is its end, and process 2 would receive io.EOF. Close in the processes says so
// sooner; as they end right after it, it could be left out.
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
	return conn.Close() // what was sent can still be received
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

	end1, end2, err := ipc.NewPipe[string](ipc.PipeConfig{})
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
