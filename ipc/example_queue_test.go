//go:build linux

package ipc_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"slices"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

var countLetters = mp.Register("countLetters", func(ctx context.Context, words *ipc.Queue[string]) (n int, err error) {
	for word, err := range words.All(ctx) {
		if err != nil {
			return n, err
		}
		n += len(word)
	}
	return n, nil // the queue is closed and empty
})

// Each element goes to one of the consumers. After Close, there are no new elements, and All ends
// in every process. No sentinel value is needed.
func ExampleQueue() {
	p := pool() // two workers
	defer p.Close()

	ctx := context.Background()
	words, err := ipc.NewQueue[string]()
	if err != nil {
		log.Fatal(err)
	}
	defer words.Discard() // in case an element is left

	letters := mp.MapAsync(ctx, p, countLetters, slices.Repeat([]*ipc.Queue[string]{words}, 2))
	for _, word := range []string{"hands", "elements", "to", "processes"} {
		if err := words.Put(ctx, word); err != nil {
			log.Fatal(err)
		}
	}
	if err := words.Close(); err != nil {
		log.Fatal(err)
	}
	n, err := letters.Result(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(n[0] + n[1]) // how the workers share the words varies
	// Output: 24
}

type putting struct {
	Results *ipc.Queue[string]
	Name    string
}

var putTwo = mp.RegisterAction("putTwo", func(ctx context.Context, p putting) error {
	for i := range 2 {
		if err := p.Results.Put(ctx, fmt.Sprintf("%s%d", p.Name, i+1)); err != nil {
			return err
		}
	}
	return nil
})

// Workers put results while they run. After Close, the remaining elements can still be received.
func ExampleQueue_Get() {
	p := pool()
	defer p.Close()

	ctx := context.Background()
	results, err := ipc.NewQueue[string]()
	if err != nil {
		log.Fatal(err)
	}
	defer results.Discard()

	if _, err := mp.Map(ctx, p, putTwo, []putting{{results, "a"}, {results, "b"}}); err != nil {
		log.Fatal(err)
	}
	_ = results.Close()
	var all []string
	for {
		r, err := results.Get(ctx)
		if errors.Is(err, mp.ErrClosed) {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		all = append(all, r)
	}
	slices.Sort(all) // only the results of the same task are in order
	fmt.Println(all)
	// Output: [a1 a2 b1 b2]
}

// TryPut and TryGet do not wait.
func ExampleQueue_TryPut() {
	q, err := ipc.NewQueue[int](ipc.Capacity(2))
	if err != nil {
		log.Fatal(err)
	}
	defer q.Discard()

	fmt.Println(q.TryPut(1), q.TryPut(2))
	fmt.Println("full:", errors.Is(q.TryPut(3), ipc.ErrFull), q.Len(), "of", q.Cap())
	fmt.Println(q.TryGet())
	fmt.Println(q.TryGet())
	_, err = q.TryGet()
	fmt.Println("empty:", errors.Is(err, ipc.ErrEmpty))
	// Output:
	// <nil> <nil>
	// full: true 2 of 2
	// 1 <nil>
	// 2 <nil>
	// empty: true
}

type order struct {
	Item  string
	Count int
}

type warehouse struct {
	Orders *ipc.Queue[order]
	Packed *ipc.Atomic[int]
}

var pack = mp.RegisterAction("pack", func(ctx context.Context, w warehouse) error {
	for o, err := range w.Orders.All(ctx) {
		if err != nil {
			return err
		}
		if _, err := w.Packed.Add(o.Count); err != nil {
			return err
		}
		if err := w.Orders.TaskDone(); err != nil { // done with it, not merely received
			return err
		}
	}
	return nil
})

// Join waits until every element has been processed. The consumers can go on running.
func ExampleQueue_Join() {
	p := pool()
	defer p.Close()

	ctx := context.Background()
	orders, err := ipc.NewQueue[order]()
	if err != nil {
		log.Fatal(err)
	}
	defer orders.Discard()
	packed, err := ipc.NewAtomic(0)
	if err != nil {
		log.Fatal(err)
	}
	defer packed.Close()

	packers := mp.MapAsync(ctx, p, pack, slices.Repeat([]warehouse{{orders, packed}}, 2))
	for day := range 2 {
		for _, o := range []order{{"nails", 100}, {"hammers", 2}} {
			if err := orders.Put(ctx, o); err != nil {
				log.Fatal(err)
			}
		}
		if err := orders.Join(ctx); err != nil {
			log.Fatal(err)
		}
		n, err := packed.Load()
		fmt.Println("day", day+1, n, err)
	}

	_ = orders.Close() // ends the packers' loops
	_, err = packers.Result(ctx)
	fmt.Println(err)
	// Output:
	// day 1 102 <nil>
	// day 2 204 <nil>
	// <nil>
}

var putSquares = mp.RegisterAction("putSquares", func(ctx context.Context, squares *ipc.Queue[int]) error {
	for i := 1; ; i++ {
		err := squares.Put(ctx, i*i)
		if errors.Is(err, mp.ErrClosed) { // the consumer has enough
			return nil
		}
		if err != nil {
			return err
		}
	}
})

// A consumer that has enough discards the queue, including the elements in it. Producers get
// ErrClosed.
func ExampleQueue_Discard() {
	p := pool()
	defer p.Close()

	ctx := context.Background()
	squares, err := ipc.NewQueue[int](ipc.Capacity(16))
	if err != nil {
		log.Fatal(err)
	}
	defer squares.Discard() // the second call does nothing

	put := mp.Submit(ctx, p, putSquares, squares)
	for square, err := range squares.All(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		if square > 1000 {
			fmt.Println(square)
			break
		}
	}
	fmt.Println(squares.Discard())
	_, err = put.Result(ctx)
	fmt.Println(err)
	// Output:
	// 1024
	// <nil>
	// <nil>
}

var fillFrames = mp.RegisterAction("fillFrames", func(ctx context.Context, frames *ipc.Queue[*ipc.Slab[byte]]) error {
	for i := range 10 {
		frame, err := ipc.NewSlab[byte](1 << 20)
		if err != nil {
			return err
		}
		for j := range frame.Slice() { // a new Slab's contents are undefined
			frame.Slice()[j] = byte(i)
		}
		if err := frames.Put(ctx, frame); err != nil { // the Slab is still this process's
			return errors.Join(err, frame.Close())
		}
	}
	return frames.Close()
})

// Slabs pass through a queue without being copied. When the receiver closes a Slab, its memory is
// reused for the next, so a few blocks suffice for any number of frames.
func ExampleSlab_queue() {
	p := pool()
	defer p.Close()

	ctx := context.Background()
	frames, err := ipc.NewQueue[*ipc.Slab[byte]](ipc.Capacity(2))
	if err != nil {
		log.Fatal(err)
	}
	defer frames.Discard()

	filled := mp.Submit(ctx, p, fillFrames, frames)
	sum := 0
	for frame, err := range frames.All(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		for _, b := range frame.Slice() {
			sum += int(b)
		}
		_ = frame.Close() // the last holder must close the Slab
	}
	fmt.Println(sum >> 20)
	_, err = filled.Result(ctx)
	fmt.Println(err)
	// Output:
	// 45
	// <nil>
}

var sayAndExit = mp.RegisterAction("sayAndExit", func(ctx context.Context, lines *ipc.Queue[string]) error {
	for _, line := range []string{"it begins", "it goes on"} {
		if err := lines.Put(ctx, line); err != nil {
			return err
		}
	}
	os.Exit(3)
	return nil
})

// A queue does not close when a producer ends, since other processes may put elements. Select waits
// for an element or the end of the child.
func ExampleSelect() {
	ctx := context.Background()
	lines, err := ipc.NewQueue[string]()
	if err != nil {
		log.Fatal(err)
	}
	defer lines.Discard()

	child, err := mp.NewProcess(sayAndExit, lines, mp.ProcessConfig{})
	if err != nil {
		log.Fatal(err)
	}
	if err := child.Start(); err != nil {
		log.Fatal(err)
	}

	for {
		ready, err := ipc.Select(ctx, lines, ipc.Done(child))
		if err != nil {
			log.Fatal(err)
		}
		line, err := lines.TryGet()
		if err == nil {
			fmt.Println(line)
			continue
		}
		if !errors.Is(err, ipc.ErrEmpty) {
			log.Fatal(err)
		}
		if slices.Contains(ready, 1) { // the child ended before TryGet: there is nothing more to come
			break
		}
	}

	_, err = child.Wait(ctx)
	var dead *mp.WorkerError
	if errors.As(err, &dead) {
		fmt.Println("it ended with code", dead.ExitCode)
	}
	// Output:
	// it begins
	// it goes on
	// it ended with code 3
}
