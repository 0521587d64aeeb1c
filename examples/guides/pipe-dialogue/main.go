// Guide "Multiprocessing" (the one that begins "python Logo"), Inter-Process Communication, Pipe:
// "a two-way communication channel (duplex)". No guide has a program in which answers come back;
// here is one.
//
// Differences in mp: both directions have the same type. Main keeps its end, and only the process
// has the other end. When main closes its end, the process receives io.EOF and is done.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

var answer = mp.Register("answer", func(ctx context.Context, conn *ipc.Conn[int]) (answers int, err error) {
	for {
		n, err := conn.Recv(ctx)
		if errors.Is(err, io.EOF) {
			return answers, nil
		}
		if err != nil {
			return answers, err
		}
		if err := conn.Send(ctx, n*n); err != nil {
			return answers, err
		}
		answers++
	}
})

func main() {
	mp.Init()
	ctx := context.Background()

	ours, theirs, err := ipc.NewPipe[int]()
	if err != nil {
		log.Fatal(err)
	}
	p, err := mp.NewProcess(answer, theirs, mp.ProcessConfig{})
	if err != nil {
		log.Fatal(err)
	}
	if err := p.Start(); err != nil {
		log.Fatal(err)
	}

	for _, n := range []int{2, 3, 8} {
		if err := ours.Send(ctx, n); err != nil {
			log.Fatal(err)
		}
		square, err := ours.Recv(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(n, "squared is", square)
	}

	if err := ours.Close(); err != nil {
		log.Fatal(err)
	}
	answers, err := p.Wait(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("The other process has answered", answers, "times")
}
