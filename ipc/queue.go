package ipc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"runtime"
	"sync/atomic"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A Queue passes elements between goroutines of several processes, first in, first out. Each
// element goes to one receiver. A Queue can be sent like a [Mutex], to any number of processes, and
// is safe for concurrent use.
//
// The elements lie in shared memory, encoded like arguments of tasks. There is no server and no
// goroutine behind a Queue. An element that Put has accepted is not lost when the process that put
// it ends. If a process dies, the elements that it has received are lost. Any other operation of a
// dead process has either happened completely or not at all, and does not block other processes.
//
// As long as no caller has to wait, Put and Get take up to some hundred nanoseconds each. A large
// element for which the queue's memory has no room is stored outside, in memory with a descriptor
// of its own, which later elements use again. So the capacity limits the memory that a queue of
// large elements takes. If eight elements are outside already, Put waits up to a millisecond for a
// Get before it takes fresh memory. A [Slab] is not copied at all.
//
// Objects and files in an element stay valid until another process receives it, even if the sender
// has died by then. An object in an element still belongs to its owner.
type Queue[T any] struct {
	object[Queue[T], queue[T], *queue[T]]
}

type queue[T any] struct {
	handle
	ring     *xsync.Ring
	envelope envelope[T]
	spill    spill
	unread   *unreleased // elements that this process has put
	most     int
	closed   atomic.Bool // whether this process, its owner, has closed it
}

const (
	defaultCap = 1024
	maxCap     = 1 << 18
	// perElement is the number of bytes of a queue's memory for each element, and roomy is the
	// usual limit for all elements together.
	perElement = 256
	roomy      = 384 << 10
)

// A QueueOption configures a [Queue]: it is [Capacity], [MaxElement] or an [Option]. A nil
// QueueOption changes nothing.
type QueueOption interface{ applyQueue(*queueOptions) }

type queueOptions struct {
	objectOptions
	capacity   int
	maxElement int
}

type queueOption func(*queueOptions)

func (o queueOption) applyQueue(to *queueOptions) { o(to) }

// Capacity sets how many elements a [Queue] can hold, up to 262144. The default is 1024, which also
// applies if n is 0.
func Capacity(n int) QueueOption { return queueOption(func(o *queueOptions) { o.capacity = n }) }

// MaxElement sets the maximum size of an encoded element in bytes. For a longer element, Put
// returns a [*mp.CodecError] with the cause [ErrTooLong]. If a corrupt process puts a longer
// element nevertheless, Get returns the same error and the element is lost, so a producer cannot
// make a consumer allocate more than this at a time. The limit travels with the [Queue]. The
// default is 1 GiB, which also applies if bytes is 0.
func MaxElement(bytes int) QueueOption {
	return queueOption(func(o *queueOptions) { o.maxElement = bytes })
}

// NewQueue makes a Queue, which lives until it is closed and drained (see [Queue.Close]). NewQueue
// costs some microseconds. The memory of the queue, up to 400 KB with the default capacity, is
// taken as elements pass through. If T cannot be encoded, the error names the field. An option
// outside of its range is an error too.
func NewQueue[T any](opts ...QueueOption) (*Queue[T], error) {
	c, err := codec.ForMessage[T]()
	if err != nil {
		return nil, fmt.Errorf("mp: NewQueue: %w", err)
	}
	how, err := queueOptionsOf(opts)
	if err != nil {
		return nil, err
	}

	shape := queueShape(how.capacity)
	size := max(shape.BytesFor(), min(how.capacity*perElement, roomy), 4096)
	o, err := objects.New(xsync.KindRing, xsync.RingSize+size, how.isolated)
	if err != nil {
		return nil, err
	}
	ring := xsync.NewRing(o.Memory(), o.Bytes()[xsync.RingSize:], shape)
	q := &queue[T]{}
	q.use(ring, spill{o, how.maxElement}, c, how.capacity)
	return publish[Queue[T]](o, q), nil
}

func queueOptionsOf(opts []QueueOption) (o queueOptions, err error) {
	for _, opt := range opts {
		if opt != nil {
			opt.applyQueue(&o)
		}
	}

	if o.capacity == 0 {
		o.capacity = defaultCap
	}
	if o.capacity < 0 || o.capacity > maxCap {
		return o, fmt.Errorf("mp: NewQueue: Capacity is %d: it must be from 0 to %d", o.capacity, maxCap)
	}
	o.maxElement, err = maxOf(o.maxElement, "mp: NewQueue: MaxElement")
	return o, err
}

// use makes q refer to a ring in an object.
func (q *queue[T]) use(ring *xsync.Ring, o spill, c *codec.Type[T], most int) {
	q.ring, q.envelope, q.spill, q.most = ring, envelope[T]{c, o.in}, o, most
	q.unread = &unreleased{cap: most}
	ring.Foresee(q.spill.foreseeing(q.envelope.foresee))
}

func queueShape(most int) xsync.RingShape { return xsync.RingShape{Most: most, Elsewhere: true} }

func (*queue[T]) kind() xsync.Kind { return xsync.KindRing }

func (q *queue[T]) encode(b []byte) ([]byte, error) {
	b = binary.LittleEndian.AppendUint32(b, uint32(q.most))
	b = binary.LittleEndian.AppendUint64(b, q.envelope.codec.Fingerprint())
	return binary.LittleEndian.AppendUint64(b, uint64(q.spill.most)), nil
}

var errNoQueue = errors.New("mp: no handle of a Queue")

func (q *queue[T]) open(o *objects.Object, rest []byte) error {
	c, err := codec.ForMessage[T]()
	if err != nil {
		return err
	}
	if len(rest) != 20 {
		return errNoQueue
	}
	most, b := int(binary.LittleEndian.Uint32(rest)), o.Bytes()
	if binary.LittleEndian.Uint64(rest[4:]) != c.Fingerprint() {
		return fmt.Errorf("mp: a Queue of another type than %v", reflect.TypeFor[T]())
	}

	shape := queueShape(most)
	if most < 1 || most > maxCap || len(b) < xsync.RingSize+shape.BytesFor() || len(b) > xsync.RingSize+xsync.RingMax || len(b)%8 != 0 {
		return errNoQueue
	}
	longest := int(binary.LittleEndian.Uint64(rest[12:]))
	if longest < 1 {
		return errNoQueue
	}
	q.use(xsync.OpenRing(o.Memory(), b[xsync.RingSize:], shape), spill{o, longest}, c, most)
	return nil
}

func (q *queue[T]) end(owned bool) { q.ring.Close(owned) }

// Put puts v into the queue. It waits for room until ctx ends. On error, v is not in the queue. The
// error is ctx's, [ErrClosed], or the system's if it has no memory for a large element. If v cannot
// be encoded, or is longer than [MaxElement] (with the cause [ErrTooLong]), errors.As finds a
// [*mp.CodecError] in the error.
func (q *Queue[T]) Put(ctx context.Context, v T) error {
	if q.in == nil {
		return errNotMade
	}
	if err := ctx.Err(); err != nil {
		return ended(ctx, err)
	}
	return q.in.put(&v, func(b []byte) error {
		p := q.in.spillWriter()
		p.ctx = ctx
		return ended(ctx, p.sent(q.in.ring.Put(ctx, b, p.put, p.drop)))
	})
}

// TryPut is like [Queue.Put], but returns [ErrFull] instead of waiting for room.
func (q *Queue[T]) TryPut(v T) error {
	if q.in == nil {
		return errNotMade
	}
	return q.in.put(&v, func(b []byte) error {
		p := q.in.spillWriter()
		return p.sent(q.in.ring.TryPut(b, p.put, p.drop))
	})
}

// spillWriter returns a spillWriter for an element. Unless its ctx is set, the spillWriter does not
// wait for room.
func (q *queue[T]) spillWriter() spillWriter {
	return spillWriter{spill: q.spill, list: q.unread, ring: q.ring}
}

func (q *queue[T]) put(v *T, send func([]byte) error) error {
	if q.ring.Ended() {
		return ErrClosed
	}

	p := buffers.Get().(*[]byte)
	b, err := q.envelope.seal(*p, v)
	if err != nil {
		putBuffer(p, b)
		return codecError("element", "encoded", err)
	}

	if len(b) > q.spill.most {
		err = tooLong("element", "encoded", len(b), "MaxElement", q.spill.most)
	} else {
		err = send(b)
	}
	if err != nil {
		q.envelope.recall(b, v)
	} else {
		q.envelope.sent(v)
	}
	putBuffer(p, b)
	return err
}

// Get takes the first element. It waits for an element until ctx ends. When the queue is closed and
// drained, the error is [ErrClosed].
//
// If the element cannot be decoded, or is longer than [MaxElement], errors.As finds a
// [*mp.CodecError] in the error, and the element is lost. An element above 16 MiB is also lost if
// Get has not read all of it within one second after ctx ended.
func (q *Queue[T]) Get(ctx context.Context) (v T, err error) {
	if q.in == nil {
		return v, errNotMade
	}
	if err := ctx.Err(); err != nil {
		return v, ended(ctx, err)
	}
	p := buffers.Get().(*[]byte)
	rec, err := q.in.ring.Get(ctx, *p)
	err = q.in.got(ctx, p, rec, ended(ctx, err), &v)
	return v, err
}

// TryGet is like [Queue.Get], but returns [ErrEmpty] instead of waiting for an element.
func (q *Queue[T]) TryGet() (v T, err error) {
	if q.in == nil {
		return v, errNotMade
	}
	p := buffers.Get().(*[]byte)
	rec, err := q.in.ring.TryGet(*p)
	err = q.in.got(context.Background(), p, rec, err, &v)
	return v, err
}

// got decodes a record that was received into the buffer p.
func (q *queue[T]) got(ctx context.Context, p *[]byte, rec xsync.Record, err error, v *T) error {
	b := rec.Bytes
	if err == nil && rec.Spilled {
		b, err = q.spill.take(ctx, append([]byte(nil), b...), (*p)[:0])
		q.ring.Released()
		if err != nil {
			err = unreadable("element", err)
		}
	}

	if err == nil && len(b) > q.spill.most {
		q.envelope.drop(b)
		err = tooLong("element", "decoded", len(b), "MaxElement", q.spill.most)
	}

	if err == nil {
		if err = q.envelope.open(b, v); err != nil {
			err = codecError("element", "decoded", err)
		}
	}

	putBuffer(p, b)
	return err
}

// All yields elements as [Queue.Get] returns them, until the queue is closed and drained. For an
// element that cannot be decoded, All yields the error and goes on. After any other error, such as
// ctx's, All ends. If another process has overwritten the queue, All may end early without an error
// (see [ErrCorrupt]).
func (q *Queue[T]) All(ctx context.Context) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			v, err := q.Get(ctx)
			if errors.Is(err, ErrClosed) {
				return
			}
			var undecodable *mp.CodecError
			if !yield(v, err) || err != nil && !errors.As(err, &undecodable) {
				return
			}
		}
	}
}

// TaskDone reports that an element has been dealt with. Any process can call it, once for each
// element. If there are more calls than received elements, TaskDone returns [ErrOverRelease] and
// changes nothing.
func (q *Queue[T]) TaskDone() error {
	if q.in == nil {
		return errNotMade
	}
	return q.in.ring.Done()
}

// Join waits until [Queue.TaskDone] has been called for each element that was put, or until ctx
// ends. If a process has received an element and died, another process must call TaskDone for that
// element. The error is ctx's or [ErrClosed].
func (q *Queue[T]) Join(ctx context.Context) error {
	if q.in == nil {
		return errNotMade
	}
	return ended(ctx, q.in.ring.Join(ctx))
}

// Len returns the number of elements at some moment. It returns 0 if the queue is closed and
// drained.
func (q *Queue[T]) Len() int {
	if q.in == nil {
		return 0
	}
	return q.in.ring.Len()
}

// Cap returns how many elements the queue can hold.
func (q *Queue[T]) Cap() int {
	if q.in == nil {
		return 0
	}
	return q.in.most
}

// Close ends putting for all processes. Any process can call it. Put returns [ErrClosed], even
// if it is already waiting. All processes can still get the elements in the queue. After the last
// element, Get returns ErrClosed. Closing twice is fine.
//
// The memory of a closed queue is released when the queue is drained and no longer reachable in the
// process that made it. A queue that still contains elements keeps its memory: call
// [Queue.Discard].
func (q *Queue[T]) Close() error {
	if q.in == nil {
		return errNotMade
	}
	q.in.ring.End()
	if q.in.obj.Owned() && !q.in.closed.Swap(true) {
		runtime.AddCleanup(q.in.canonical.(*Queue[T]), func(r remains) { go r.finish() }, remains{q.in.obj, q.in.ring})
	}
	return nil
}

// Discard closes the queue and gives up its elements: for all processes if this process made the
// queue or received it as the result of a task, else for this process alone. Discard takes at most
// a few seconds.
func (q *Queue[T]) Discard() error {
	if q.in == nil {
		return errNotMade
	}
	q.in.discard()
	return nil
}

func (q *queue[T]) discard() {
	if !q.obj.Owned() {
		q.close(q.end)
		return
	}
	q.ring.End()
	l := leftovers{spill: q.spill, carries: q.envelope.codec.Carries(), drop: q.envelope.drop}
	l.takeFrom(q.ring)
	q.ring.Close(true)
	l.dropAll(func() {
		q.close(func(bool) {})
		q.unread.end()
	})
}

// remains are what is left of a queue that is no longer reachable.
type remains struct {
	obj  *objects.Object
	ring *xsync.Ring
}

// finish gives the memory back if no process can need it any longer.
func (r remains) finish() {
	if r.ring.Drained() {
		attached.forget(r.obj)
		r.ring.Close(r.obj.Owned())
		r.obj.Close()
	}
}
