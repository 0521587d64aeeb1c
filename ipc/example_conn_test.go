//go:build linux

package ipc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"strings"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

// answerUpper answers each message in upper case until the other end is closed.
func answerUpper(ctx context.Context, c *ipc.Conn[string]) error {
	for {
		s, err := c.Recv(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := c.Send(ctx, strings.ToUpper(s)); err != nil {
			return err
		}
	}
}

var answerOne = mp.RegisterAction("answerOne", answerUpper)

// A pipe carries messages both ways. Sending an end to a child moves the end there. Each side
// notices when the other closes its end, and this process has no copy to close.
func ExampleNewPipe() {
	ctx := context.Background()
	ours, theirs, err := ipc.NewPipe[string]()
	if err != nil {
		log.Fatal(err)
	}
	defer ours.Close()
	defer theirs.Close() // in case it is not sent; otherwise this does nothing
	child, err := mp.NewProcess(answerOne, theirs, mp.ProcessConfig{})
	if err != nil {
		log.Fatal(err)
	}
	if err := child.Start(); err != nil {
		log.Fatal(err)
	}

	for _, word := range []string{"hello", "child"} {
		if err := ours.Send(ctx, word); err != nil {
			log.Fatal(err)
		}
		fmt.Println(ours.Recv(ctx))
	}

	_ = ours.Close() // the child receives io.EOF
	_, err = child.Wait(ctx)
	fmt.Println(err)
	// Output:
	// HELLO <nil>
	// CHILD <nil>
	// <nil>
}

var sendRoots = mp.RegisterAction("sendRoots", func(ctx context.Context, w *ipc.Conn[float64]) error {
	for i := range 4 {
		if err := w.Send(ctx, math.Sqrt(float64(i*i))); err != nil {
			return err
		}
	}
	return w.Close() // the worker outlives the task, so the end is not closed automatically
})

// The first end of a one-way pipe receives, and the second sends.
func ExampleNewPipe_oneWay() {
	p := pool()
	defer p.Close()
	ctx := context.Background()
	r, w, err := ipc.NewPipe[float64](ipc.OneWay())
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	fmt.Println("wrong end:", errors.Is(r.Send(ctx, 1), ipc.ErrDirection))

	sent := mp.Submit(ctx, p, sendRoots, w)
	for {
		root, err := r.Recv(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(root, " ")
	}

	_, err = sent.Result(ctx)
	fmt.Println(err)
	// Output:
	// wrong end: true
	// 0 1 2 3 <nil>
}

var answerCalls = mp.Register("answerCalls", func(ctx context.Context, calls *ipc.Queue[*ipc.Conn[string]]) (n int, err error) {
	for c, err := range calls.All(ctx) {
		if err == nil {
			err = errors.Join(answerUpper(ctx, c), c.Close())
		}
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
})

// An end of a pipe can be sent on, here through a queue to whichever worker gets it first. From
// then on, only that worker can use the end.
func ExampleConn() {
	p := pool()
	defer p.Close()

	ctx := context.Background()
	calls, err := ipc.NewQueue[*ipc.Conn[string]]()
	if err != nil {
		log.Fatal(err)
	}
	defer calls.Discard()
	answered := mp.Submit(ctx, p, answerCalls, calls)

	for _, word := range []string{"one", "two"} {
		ours, theirs, err := ipc.NewPipe[string]()
		if err != nil {
			log.Fatal(err)
		}
		if err := calls.Put(ctx, theirs); err != nil {
			log.Fatal(err)
		}
		fmt.Println("gone:", errors.Is(theirs.Send(ctx, word), ipc.ErrMoved))
		if err := ours.Send(ctx, word); err != nil {
			log.Fatal(err)
		}
		fmt.Println(ours.Recv(ctx))
		_ = ours.Close()
	}

	_ = calls.Close()
	fmt.Println(answered.Result(ctx))
	// Output:
	// gone: true
	// ONE <nil>
	// gone: true
	// TWO <nil>
	// 2 <nil>
}

var sendBlocks = mp.RegisterAction("sendBlocks", func(ctx context.Context, c *ipc.Conn[struct{}]) error {
	block := make([]byte, 0, 1<<16)
	for n := 1000; n <= cap(block); n *= 4 {
		if err := c.SendBytes(ctx, block[:n]); err != nil { // the block can be reused at once
			return err
		}
	}
	return c.Close()
})

// RecvInto receives into a buffer that the caller reuses. A message that is longer than the buffer
// is not lost: the next call can receive it into a larger buffer.
func ExampleConn_RecvInto() {
	p := pool()
	defer p.Close()

	ctx := context.Background()
	ours, theirs, err := ipc.NewPipe[struct{}]() // carries only bytes
	if err != nil {
		log.Fatal(err)
	}
	defer ours.Close()
	sent := mp.Submit(ctx, p, sendBlocks, theirs)

	buf := make([]byte, 4096)
	for {
		n, err := ours.RecvInto(ctx, buf)
		if errors.Is(err, io.ErrShortBuffer) {
			fmt.Println("too short, it takes", n)
			buf = make([]byte, n)
			continue
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(n)
	}

	_, err = sent.Result(ctx)
	fmt.Println(err)
	// Output:
	// 1000
	// 4000
	// too short, it takes 16000
	// 16000
	// too short, it takes 64000
	// 64000
	// <nil>
}

// Poll reports whether Recv would return at once. It does not take the message.
func ExampleConn_Poll() {
	ctx := context.Background()
	a, b, err := ipc.NewPipe[string]()
	if err != nil {
		log.Fatal(err)
	}
	defer a.Close()

	fmt.Println(a.Poll(ctx, time.Millisecond))
	if err := b.Send(ctx, "now"); err != nil {
		log.Fatal(err)
	}

	fmt.Println(a.Poll(ctx, 0))
	fmt.Println(a.Recv(ctx))
	_ = b.Close()
	fmt.Println(a.Poll(ctx, time.Hour)) // Recv would return io.EOF at once
	_, err = a.Recv(ctx)
	fmt.Println(err)
	// Output:
	// false <nil>
	// true <nil>
	// now <nil>
	// true <nil>
	// EOF
}

var reverse = mp.Register("reverse", func(_ context.Context, s *ipc.Slab[float64]) (*ipc.Slab[float64], error) {
	x := s.Slice()
	for i, j := 0, len(x)-1; i < j; i, j = i+1, j-1 {
		x[i], x[j] = x[j], x[i]
	}
	return s, nil
})

// A Slab moves to a task in the argument, and back in the result. That costs the same for eight
// bytes as for these eight megabytes.
func ExampleSlab() {
	p := pool()
	defer p.Close()
	numbers, err := ipc.NewSlab[float64](1 << 20)
	if err != nil {
		log.Fatal(err)
	}
	defer numbers.Close() // in case it is not sent; otherwise this does nothing
	for i := range numbers.Slice() {
		numbers.Slice()[i] = float64(i)
	}

	reversed, err := mp.Call(context.Background(), p, reverse, numbers)
	if err != nil {
		log.Fatal(err)
	}
	defer reversed.Close()
	fmt.Println("gone:", numbers.Slice() == nil)
	fmt.Println(reversed.Slice()[:3])
	// Output:
	// gone: true
	// [1.048575e+06 1.048574e+06 1.048573e+06]
}

// A goroutine that serves several connections uses Select to wait until one is ready, and TryRecv
// to take the message.
func ExampleConn_TryRecv() {
	ctx := context.Background()
	ours, theirs, err := ipc.NewPipe[string]()
	if err != nil {
		log.Fatal(err)
	}

	_, err = ours.TryRecv()
	fmt.Println(errors.Is(err, ipc.ErrEmpty))
	fmt.Println(theirs.TrySend("a message"), theirs.Close())
	for {
		if _, err := ipc.Select(ctx, ours); err != nil {
			log.Fatal(err)
		}
		text, err := ours.TryRecv()
		fmt.Println(text, err)
		if err != nil {
			break
		}
	}

	fmt.Println(ours.Close())
	// Output:
	// true
	// <nil> <nil>
	// a message <nil>
	//  EOF
	// <nil>
}

// Truncate shortens a Slab to the elements that were filled.
func ExampleSlab_Truncate() {
	s, err := ipc.NewSlab[byte](1 << 20)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	n := copy(s.Slice(), "a short text")
	fmt.Println(s.Truncate(n), s.Len(), string(s.Slice()))
	// Output:
	// <nil> 12 a short text
}
