// Guide "Multiprocessing in Python", Process Communication, Pipes.
//
// The guide's program never ends. Its text says that main "needs to close it's end of the pipe"
// before it joins, and that the program does this. The program does not, so the receiver never gets
// an EOFError. Closing both ends in main after starting both processes, as the text says, is enough
// where Python spawns its processes. Where Python forks, as it did on Linux before 3.14, the
// receiver has inherited the sender's end as well, and waits for itself: sender_conn must also be
// closed in the receiver, or in main before the receiver is started.
//
// Differences in mp: only the process to which an end was sent has that end, and there is no copy
// to close. So the receiver gets io.EOF when the sender has closed its end or has died. Since one
// process only sends and the other only receives, the pipe is one-way, and mixing up the ends
// causes an error at once. The program sleeps for 50 ms instead of a second.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

var send = mp.RegisterAction("send", func(ctx context.Context, conn *ipc.Conn[string]) error {
	fmt.Println("Sender: Sending messages...")
	if err := conn.Send(ctx, "Hello from sender!"); err != nil {
		return err
	}
	time.Sleep(50 * time.Millisecond) // simulates work
	if err := conn.Send(ctx, "Another message."); err != nil {
		return err
	}
	return conn.Close()
})

var receive = mp.RegisterAction("receive", func(ctx context.Context, conn *ipc.Conn[string]) error {
	defer conn.Close()
	fmt.Println("Receiver: Waiting for messages...")
	for {
		msg, err := conn.Recv(ctx)
		if errors.Is(err, io.EOF) {
			fmt.Println("Receiver: Connection closed by sender.")
			return nil
		}
		if err != nil {
			return err
		}
		fmt.Printf("Receiver: Received '%s'\n", msg)
	}
})

func main() {
	mp.Init()

	fmt.Println("--- Multiprocessing with Pipe Example ---")
	receiver, sender, err := ipc.NewPipe[string](ipc.OneWay())
	if err != nil {
		log.Fatal(err)
	}
	p1, err := mp.NewProcess(send, sender, mp.ProcessConfig{})
	if err != nil {
		log.Fatal(err)
	}
	p2, err := mp.NewProcess(receive, receiver, mp.ProcessConfig{})
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
