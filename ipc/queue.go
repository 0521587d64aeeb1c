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
	"github.com/go-multiprocessing/mp/internal/share"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A Queue hands elements from goroutines of some processes to goroutines of others, each to
// one of them, first in, first out. It can be sent like a [Mutex], to as many processes as
// wanted, and is safe for concurrent use.
//
// The elements lie in shared memory, encoded as arguments of tasks are; there is no server
// and no goroutine behind it. What Put has accepted is not lost when its process ends. What
// a process had got when it died is lost; whatever else it was doing with the queue has
// either happened or not, and holds up nobody.
//
// An element takes up to some hundred nanoseconds each way as long as nobody has to wait. One
// that finds no room in the queue's memory, because it is large, lies outside, in memory and
// with a descriptor of its own, which are used again for later ones: so Cap bounds the memory
// that a queue of large elements takes. If there are eight
// such elements already, Put waits up to a millisecond for a Get rather than take fresh memory. A [Slab] is not even copied.
// Objects and files in an element stay whole until it is got, though the sender may have
// died by then; an object that is in it is its maker's as before.
type Queue[T any] struct {
	object[Queue[T], queue[T], *queue[T]]
}

type queue[T any] struct {
	handle
	ring     *xsync.Ring
	envelope envelope[T]
	outside  outside
	unread   *unreleased // of what this process has put
	most     int
	closed   atomic.Bool // by this process, which has made it
}

const (
	defaultCap = 1024
	maxCap     = 1 << 18
	// perElement is how many bytes of a queue's memory there are for an element, and
	// roomy how many there usually are for all.
	perElement = 256
	roomy      = 384 << 10
)

// A QueueOption configures a [Queue]. It is [Capacity], [MaxElement] or an [Option]. A nil QueueOption changes
// nothing.
type QueueOption interface{ applyQueue(*queueOptions) }

type queueOptions struct {
	objectOptions
	capacity   int
	maxElement int
}

type queueOption func(*queueOptions)

func (o queueOption) applyQueue(to *queueOptions) { o(to) }

// Capacity sets how many elements a [Queue] holds, up to 262144. Defaults to 1024, also for 0.
func Capacity(n int) QueueOption { return queueOption(func(o *queueOptions) { o.capacity = n }) }

// MaxElement sets the maximum size of an encoded element in bytes. Put returns a [*mp.CodecError] with the
// cause [ErrTooLong] for a longer one. If a corrupt process puts a longer one all the same, Get returns the
// same error and the element is lost, so a producer cannot make a consumer allocate more than this at a time.
// The limit travels with the [Queue]. Defaults to 1 GiB, also for 0.
func MaxElement(bytes int) QueueOption {
	return queueOption(func(o *queueOptions) { o.maxElement = bytes })
}

// NewQueue makes a Queue, which lives until it is closed and drained; see [Queue.Close]. It
// costs some microseconds, and its memory, up to 400 KB with the default Cap, is taken as
// elements pass through it. A T that cannot be encoded is an error that names the field; so is
// a Cap below 0 or above 262144.
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
	o, err := share.New(xsync.KindRing, xsync.RingSize+size, how.isolated)
	if err != nil {
		return nil, err
	}
	ring := xsync.NewRing(o.Memory(), o.Bytes()[xsync.RingSize:], shape)
	q := &queue[T]{}
	q.use(ring, outside{o, how.maxElement}, c, how.capacity)
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
	o.maxElement, err = mostOf(o.maxElement, "mp: NewQueue: MaxElement")
	return o, err
}

func (q *queue[T]) use(ring *xsync.Ring, o outside, c *codec.Type[T], most int) {
	q.ring, q.envelope, q.outside, q.most = ring, envelope[T]{c, o.in}, o, most
	q.unread = &unreleased{cap: most}
	ring.Foresee(q.outside.foreseeing(q.envelope.foresee))
}

func queueShape(most int) xsync.RingShape { return xsync.RingShape{Most: most, Elsewhere: true} }

func (*queue[T]) kind() xsync.Kind { return xsync.KindRing }

func (q *queue[T]) encode(b []byte) ([]byte, error) {
	b = binary.LittleEndian.AppendUint32(b, uint32(q.most))
	b = binary.LittleEndian.AppendUint64(b, q.envelope.codec.Fingerprint())
	return binary.LittleEndian.AppendUint64(b, uint64(q.outside.most)), nil
}

var errNoQueue = errors.New("mp: no handle of a Queue")

func (q *queue[T]) open(o *share.Object, rest []byte) error {
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
	q.use(xsync.OpenRing(o.Memory(), b[xsync.RingSize:], shape), outside{o, longest}, c, most)
	return nil
}

func (q *queue[T]) end(owned bool) { q.ring.Close(owned) }

// Put puts v, and waits for room until ctx ends. On error v is not in the queue. The error is
// ctx's, [ErrClosed], or the system's if it has no memory for a large element. If v cannot be encoded, or
// is longer than [MaxElement] (with the cause [ErrTooLong]), errors.As finds a [*mp.CodecError] in it.
func (q *Queue[T]) Put(ctx context.Context, v T) error {
	if q.in == nil {
		return errNotMade
	}
	if err := ctx.Err(); err != nil {
		return ended(ctx, err)
	}
	return q.in.put(&v, func(b []byte) error {
		p := q.in.parcel()
		p.ctx = ctx
		return ended(ctx, p.sent(q.in.ring.Put(ctx, b, p.put, p.drop)))
	})
}

// TryPut is [Queue.Put] that returns [ErrFull] instead of waiting for room.
func (q *Queue[T]) TryPut(v T) error {
	if q.in == nil {
		return errNotMade
	}
	return q.in.put(&v, func(b []byte) error {
		p := q.in.parcel()
		return p.sent(q.in.ring.TryPut(b, p.put, p.drop))
	})
}

// parcel is an element that is being put. Without a context it does not wait for room.
func (q *queue[T]) parcel() parcel {
	return parcel{outside: q.outside, list: q.unread, ring: q.ring}
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
	if len(b) > q.outside.most {
		err = tooLong("element", "encoded", len(b), "MaxElement", q.outside.most)
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

// Get takes the first element, and waits for one until ctx ends. When the queue is closed
// and everything has been got, the error is [ErrClosed]. For an element that cannot be decoded,
// or is longer than [MaxElement], errors.As finds a [*mp.CodecError] in it, and the element is lost. So
// is an element above 16 MiB that has not been read to its end a second after ctx has ended.
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

// TryGet is [Queue.Get] that returns [ErrEmpty] instead of waiting for an element.
func (q *Queue[T]) TryGet() (v T, err error) {
	if q.in == nil {
		return v, errNotMade
	}
	p := buffers.Get().(*[]byte)
	rec, err := q.in.ring.TryGet(*p)
	err = q.in.got(context.Background(), p, rec, err, &v)
	return v, err
}

// got decodes what was got into the buffer p.
func (q *queue[T]) got(ctx context.Context, p *[]byte, rec xsync.Record, err error, v *T) error {
	b := rec.Bytes
	if err == nil && rec.Spilled {
		b, err = q.outside.take(ctx, append([]byte(nil), b...), (*p)[:0])
		q.ring.Released()
		if err != nil {
			err = unreadable("element", err)
		}
	}
	if err == nil && len(b) > q.outside.most {
		q.envelope.drop(b)
		err = tooLong("element", "decoded", len(b), "MaxElement", q.outside.most)
	}
	if err == nil {
		if err = q.envelope.open(b, v); err != nil {
			err = codecError("element", "decoded", err)
		}
	}
	putBuffer(p, b)
	return err
}

// All yields the elements as [Queue.Get] returns them, until the queue is closed and
// drained. An element that cannot be decoded is yielded as its error; any other error, such as
// ctx's, comes last. If another process has overwritten the queue, All may end early without an
// error, see [ErrCorrupt].
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

// TaskDone says that an element has been dealt with; any process may say so, once for each
// element. For more than were got it returns [ErrOverRelease] and changes nothing.
func (q *Queue[T]) TaskDone() error {
	if q.in == nil {
		return errNotMade
	}
	return q.in.ring.Done()
}

// Join waits until there has been a [Queue.TaskDone] for each element that was put. For an
// element that a process had received before it died, another one must call it. The error is ctx's
// or [ErrClosed].
func (q *Queue[T]) Join(ctx context.Context) error {
	if q.in == nil {
		return errNotMade
	}
	return ended(ctx, q.in.ring.Join(ctx))
}

// Len is the number of elements at some moment; 0 for a queue that is closed and drained.
func (q *Queue[T]) Len() int {
	if q.in == nil {
		return 0
	}
	return q.in.ring.Len()
}

// Cap is how many elements the queue holds.
func (q *Queue[T]) Cap() int {
	if q.in == nil {
		return 0
	}
	return q.in.most
}

// Close lets no process put any more, whichever process calls it: Put returns
// [ErrClosed], also where it waits. What is in the queue can be got, by all processes; after
// that Get returns ErrClosed. Closing twice is fine.
//
// The memory of a closed queue is given back when it is drained and nobody in the process
// that made it has it any more, so that the garbage collector finds that. One that is left
// with something in it keeps its memory: [Queue.Discard] it.
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

// Discard is Close that gives up what is in the queue: in the process that made it, or was
// given it as the result of a task, for everybody; in another one for that process. It returns after some
// seconds at the latest.
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
	l := leftovers{outside: q.outside, carries: q.envelope.codec.Carries(), drop: q.envelope.drop}
	l.takeFrom(q.ring)
	q.ring.Close(true)
	l.dropAll(func() {
		q.close(func(bool) {})
		q.unread.end()
	})
}

// remains are what is left of a queue that is no longer reachable.
type remains struct {
	obj  *share.Object
	ring *xsync.Ring
}

// finish gives the memory back if nobody else can need it.
func (r remains) finish() {
	if r.ring.Drained() {
		attached.forget(r.obj)
		r.ring.Close(r.obj.Owned())
		r.obj.Close()
	}
}
