package main

import (
	"context"
	"fmt"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

// element is a small element of a queue or pipe. It contains its own number and its producer's.
type element = [64]byte

func newElement(i, who int) (e element) {
	putInt(e[:], i)
	e[8] = byte(who)
	return e
}

func numberOf(e element) (i, who int) { return getInt(e[:]), int(e[8]) }

const (
	largeBytes = 1 << 20
	largeCount = 64 // different elements
)

// larges returns a function that makes large elements in distinct buffers. The function rewrites
// only the part that changes: the number, at both ends.
func larges() func(i, who int) []byte {
	var buffers [largeCount][]byte
	for k := range buffers {
		buffers[k] = make([]byte, largeBytes)
		for at := range buffers[k] {
			buffers[k][at] = byte(at + k)
		}
	}
	return func(i, who int) []byte {
		b := buffers[i%largeCount]
		putInt(b, i)
		b[8] = byte(who)
		putInt(b[largeBytes-8:], i)
		return b
	}
}

// numberOfLarge returns the number and the producer of a large element; the number is -1 if the
// element is damaged.
func numberOfLarge(b []byte) (i, who int) {
	if len(b) != largeBytes || getInt(b) != getInt(b[largeBytes-8:]) || b[largeBytes/2] != byte(largeBytes/2+getInt(b)%largeCount) {
		return -1, 0
	}
	return getInt(b), int(b[8])
}

// passing is the argument of a process that puts elements into a queue or gets them from it.
type passing[T any] struct {
	Queue *ipc.Queue[T]
	Gate  *ipc.Barrier
	Sums  *ipc.Array[int] // of the numbers that each consumer has received
	Who   int             // the index among the producers, or among the consumers
	Put   bool
	N     int
}

var (
	passElements = mp.Register("passElements", func(ctx context.Context, p passing[element]) (stint, error) {
		return p.run(ctx, newElement, numberOf)
	})
	passLarges = mp.Register("passLarges", func(ctx context.Context, p passing[[]byte]) (stint, error) {
		return p.run(ctx, larges(), numberOfLarge)
	})
)

// passSlabs is like passElements, but for slabs. Each side has a slice of its own: the producer
// copies its slice into each slab, and the consumer copies each slab into its slice.
var passSlabs = mp.Register("passSlabs", func(ctx context.Context, p passing[*ipc.Slab[byte]]) (stint, error) {
	own := larges()(0, 0)
	return timed(ctx, p.Gate, p.N, func(n int) error {
		for i := range n {
			if err := passSlab(ctx, p, own, i); err != nil {
				return err
			}
		}
		return nil
	})
})

func passSlab(ctx context.Context, p passing[*ipc.Slab[byte]], own []byte, i int) error {
	if p.Put {
		slab, err := ipc.NewSlab[byte](largeBytes)
		if err != nil {
			return err
		}
		putInt(own, i)
		copy(slab.Slice(), own)
		return p.Queue.Put(ctx, slab)
	}

	slab, err := p.Queue.Get(ctx)
	if err != nil {
		return err
	}

	copy(own, slab.Slice())
	if got := getInt(own); got != i {
		return fmt.Errorf("got element %d after %d", got, i-1)
	}
	p.Sums.Slice()[p.Who] += i
	return slab.Close()
}

func (p passing[T]) run(ctx context.Context, make func(i, who int) T, number func(T) (i, who int)) (stint, error) {
	return timed(ctx, p.Gate, p.N, func(n int) error {
		if p.Put {
			return p.put(ctx, n, make)
		}
		sum, err := p.get(ctx, n, number)
		p.Sums.Slice()[p.Who] += sum
		return err
	})
}

func (p passing[T]) put(ctx context.Context, n int, make func(i, who int) T) error {
	for i := range n {
		if err := p.Queue.Put(ctx, make(i, p.Who)); err != nil {
			return err
		}
	}
	return nil
}

// get gets n elements and returns the sum of their numbers. The numbers of each producer must be in
// order.
func (p passing[T]) get(ctx context.Context, n int, number func(T) (i, who int)) (sum int, err error) {
	var next [1 << 8]int
	for range n {
		v, err := p.Queue.Get(ctx)
		if err != nil {
			return 0, err
		}
		i, who := number(v)
		if i < next[who] {
			return 0, fmt.Errorf("got element %d of producer %d after %d", i, who, next[who]-1)
		}
		next[who], sum = i+1, sum+i
	}
	return sum, nil
}

// queueRow measures small elements from a process that puts all the time to a process that gets.
func queueRow() row {
	const pairs = 1
	return row{
		name: "queue", unit: "elements/s", better: higher,
		mp: onProcesses(passSmall(pairs)),
		peers: []peer{
			{"Python Queue", 20, onPython("", func(b *bench, python *helper) (float64, error) {
				return python.inProcesses(2*pairs, "queue %d %d", pairs, b.size(50_000, 2000))
			})},
			{"C ring, spins then futex", 0.1, onC(func(b *bench, c *helper) (float64, error) {
				return c.inProcesses(2*pairs, "ring %d", b.size(5_000_000, 500_000))
			})},
		},
	}
}

// queue4x4Row measures small elements from four processes that put to four that get.
func queue4x4Row() row {
	const pairs = 4
	return row{
		name: "queue-4x4", unit: "elements/s", better: higher,
		mp: onProcesses(passSmall(pairs)),
		peers: []peer{{"Python Queue", 20, onPython("", func(b *bench, python *helper) (float64, error) {
			return python.inProcesses(2*pairs, "queue %d %d", pairs, b.size(10_000, 500))
		})}},
	}
}

// queueLargeRow measures elements that do not fit into a queue's memory, in distinct buffers.
func queueLargeRow() row {
	const pairs = 1
	return row{
		name: "queue-1MiB", unit: "bytes/s", better: higher,
		mp: onProcesses(func(ctx context.Context, b *bench) (float64, error) {
			n := b.size(500, 50)
			took, err := passInPairs(ctx, passLarges, pairs, n)
			return perSecond(took, pairs*n*largeBytes), err
		}),
		peers: []peer{{"Python Queue", 2, onPython("", func(b *bench, python *helper) (float64, error) {
			return python.inProcesses(2*pairs, "queue-large %d", b.size(500, 50))
		})}},
	}
}

// queueViewRow measures slabs that one process writes completely and another reads completely. Only
// a few slabs are in transit at a time, which bounds the memory in use.
func queueViewRow() row {
	const inQueue = 4
	return row{
		name: "queue-view", unit: "bytes/s", better: higher,
		mp: onProcesses(func(ctx context.Context, b *bench) (float64, error) {
			n := b.size(5000, 500)
			took, err := passInPairs(ctx, passSlabs, 1, n, ipc.Capacity(inQueue))
			return perSecond(took, n*largeBytes), err
		}),
		peers: []peer{{"C, copied into and out of one slot", 0.35, onC(func(b *bench, c *helper) (float64, error) {
			return c.inProcesses(2, "slot %d", b.size(5000, 500))
		})}},
	}
}

func passSmall(pairs int) func(ctx context.Context, b *bench) (float64, error) {
	return func(ctx context.Context, b *bench) (float64, error) {
		n := b.size(1_000_000, 50_000) / pairs
		took, err := passInPairs(ctx, passElements, pairs, n)
		return perSecond(took, pairs*n), err
	}
}

// passInPairs makes pairs of processes pass elements through one queue. In each pair, one process
// puts n elements and the other gets n.
func passInPairs[T any](ctx context.Context, f *mp.Func[passing[T], stint], pairs, n int, opts ...ipc.QueueOption) (time.Duration, error) {
	var s shop
	defer s.close()
	queue, err := ipc.NewQueue[T](opts...)
	queue = made(&s, queue, err)
	gate, err := ipc.NewBarrier(2 * pairs)
	gate = made(&s, gate, err)
	sums, err := ipc.NewArray[int](pairs)
	sums = made(&s, sums, err)
	if err := s.err(); err != nil {
		return 0, err
	}
	var args []passing[T]
	for who := range pairs {
		args = append(args, passing[T]{queue, gate, sums, who, true, n}, passing[T]{queue, gate, sums, who, false, n})
	}

	took, err := inProcesses(ctx, f, args...)
	if err != nil {
		return 0, err
	}
	sum := 0
	for _, v := range sums.Slice() {
		sum += v
	}

	return took, counted(sum, pairs*(sumTo(n)+sumTo(warmLaps(n))))
}

// sumTo returns 0 + 1 + … + n-1.
func sumTo(n int) int { return n * (n - 1) / 2 }
