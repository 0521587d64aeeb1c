//go:build linux

package link

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/shm"
)

const (
	taskHead   = 64
	resultHead = 8

	flagPrompt   = 1 << 0 // a caller waits for the result
	flagExternal = 1 << 1 // the body is sent over the socket
	flagStop     = 1 << 2 // not a task: tear down and exit

	resultExternal = 1 << 31
	resultLenMask  = 1<<28 - 1
	resultKindBit  = 28
)

// MaxInline is the size of the largest body that goes through a ring. A ring has room for several
// bodies of that size. A larger body arrives in memory that is not used for anything else.
const MaxInline = 64 << 10

// Chunk is a sequence of tasks of one function with consecutive numbers.
type Chunk struct {
	Func    int    // the function's index in Hello.Funcs
	Attempt int    // counted from 1
	Worker  int    // the worker's number in the pool
	ID      uint64 // of the first task; the IDs of the others follow it
	Count   int
	Prompt  bool // wake the parent as soon as the chunk is done
	Baggage int  // the number of bytes at the start of Body that belong to every task

	// Timeout applies to each task, Deadline to the whole chunk. Both are visible in the contexts
	// of the tasks. The parent enforces them. Zero means none.
	Timeout  time.Duration
	Deadline Moment
	Body     []byte
}

// Events are the callbacks for a worker's messages other than results. They are called on one
// goroutine, in the order of the messages.
type Events struct {
	Hello  func(Hello)
	Ready  func()
	Failed func(data []byte)
	Log    func(data []byte)
	Stacks func(data []byte)
	Broker func()
	// Wanted returns the maximum size of an answer to query seq. A larger answer is read and
	// dropped, and Answer is called with its size but without data.
	Wanted func(seq uint32) int
	Answer func(seq uint32, data []byte, size int)
}

// A Link is the parent's end of a link. Only one goroutine at a time, the owner, may call Stage,
// Publish, Collect and Wait. The other methods are safe for concurrent use.
type Link struct {
	mem      memory
	sock     *os.File
	out      outbox
	waker    ringer
	doorbell *listener

	hasNews func() bool // the method news, bound once
	files   []*os.File
	childs  []int

	taskTail uint64
	seq      uint32   // the number of the next task
	sent     []passed // chunks that the worker has not passed
	seen     uint64   // the last valid taskHead
	resHead  uint64
	buf      []byte

	accounted atomic.Uint64 // resHead at the last call of Accounted, for Uncollected

	inbox inbox
}

// passed records where a chunk ends.
type passed struct {
	pos  uint64
	seq  uint32
	size int
}

// New creates a link. The caller must pass the descriptors that ChildFiles returns to the worker,
// and then call CloseChild.
func New() (l *Link, err error) {
	l = &Link{seq: 1}
	l.inbox.init()
	l.hasNews = l.news
	defer func() {
		if err != nil {
			l.Close()
		}
	}()

	if err := l.makeSocket(); err != nil {
		return l, err
	}
	fd, mem, err := shm.New("mp-link", Size)
	if err != nil {
		return l, err
	}
	l.mem = mem
	l.mem.release()
	l.childs = append(l.childs, fd)
	return l, l.makeDoorbells()
}

// makeSocket creates the socket. The socket receives out-of-band bytes inline, because the kernel
// would otherwise close, during a read, descriptors that arrive with such bytes.
func (l *Link) makeSocket() error {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	_ = unix.SetsockoptInt(pair[0], unix.SOL_SOCKET, unix.SO_OOBINLINE, 1)
	l.sock = l.own(pair[0], "mp-socket")
	l.childs = append(l.childs, pair[1])
	if l.inbox.raw, err = l.sock.SyscallConn(); err != nil {
		return err
	}
	l.inbox.sock = l.sock
	return l.out.init(l.sock)
}

// makeDoorbells creates the pipes of the two doorbells.
func (l *Link) makeDoorbells() error {
	var wake, doorbell [2]int
	if err := syscall.Pipe2(wake[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK); err != nil {
		return os.NewSyscallError("pipe2", err)
	}
	l.childs = append(l.childs, wake[0])
	writer, err := newPipeWriter(l.own(wake[1], "mp-wake"))
	if err != nil {
		return err
	}

	l.waker = ringer{l.mem.word32(offAsleep), writer}
	if err := syscall.Pipe2(doorbell[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK); err != nil {
		return os.NewSyscallError("pipe2", err)
	}
	l.childs = append(l.childs, doorbell[1])
	ours := l.own(doorbell[0], "mp-bell")
	alarm, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	l.doorbell, err = newListener(l.mem.word32(offDoorbell), ours, l.own(alarm, "mp-alarm"))
	return err
}

func (l *Link) own(fd int, name string) *os.File {
	f := os.NewFile(uintptr(fd), name)
	l.files = append(l.files, f)
	return f
}

// ChildFiles returns the worker's descriptors in order: socket, segment, wake pipe, doorbell pipe.
func (l *Link) ChildFiles() []int { return l.childs }

// CloseChild closes the parent's copies of the worker's descriptors.
func (l *Link) CloseChild() {
	for _, fd := range l.childs {
		_ = syscall.Close(fd)
	}
	l.childs = nil
}

// CloseFiles closes the descriptors, which ends Serve and every wait. The segment stays mapped, so
// that results can still be collected.
func (l *Link) CloseFiles() {
	l.CloseChild()
	l.out.close()
	for _, f := range l.files {
		if f == l.sock {
			l.closeSocket()
			continue
		}
		_ = f.Close()
	}
	l.files = nil
}

// closeSocket closes the socket without waiting. When a socket is closed, the kernel also closes
// the descriptors in unread messages, which can take arbitrarily long. So if there are unread
// messages, a Closer closes the socket.
func (l *Link) closeSocket() {
	l.inbox.shut()
	if l.inbox.unread() > 0 {
		l.inbox.closer.CloseFile(l.sock)
		return
	}
	_ = l.sock.Close()
}

// Close closes the descriptors and unmaps the segment. The link must not be used afterward.
func (l *Link) Close() {
	l.CloseFiles()
	if l.mem != nil {
		_ = shm.Unmap(l.mem)
		l.mem = nil
	}
}

// Watch arranges for onStuck to be called if the worker reads nothing from the socket for the
// duration limit while the send queue is full. onStuck is called at most once, on its own
// goroutine. Watch must be called before anything is sent.
func (l *Link) Watch(limit time.Duration, onStuck func(error)) { l.out.watch(limit, onStuck) }

// Greet sends the worker its configuration. Like all methods that send the worker messages other
// than tasks, it does not block. If it returns an error, the message was not sent.
func (l *Link) Greet(c Config) error {
	c.Version = Version
	return l.out.post(msgHello, 0, c.append(nil))
}

// Cancel asks the worker to cancel the context of a running task. If deadline is set, the context's
// error is DeadlineExceeded.
func (l *Link) Cancel(seq uint32, deadline bool) error {
	var body []byte
	if deadline {
		body = oneByte
	}
	return l.out.post(msgCancel, seq, body)
}

// Go tells the worker to run its setup.
func (l *Link) Go() error { return l.out.post(msgGo, 0, nil) }

// AskStacks asks the worker for its goroutines' stacks.
func (l *Link) AskStacks() error { return l.out.post(msgStacks, 0, nil) }

// Ask sends the worker a query of at least one byte. The answer will have the same number. If
// question is empty, Ask instead tells the worker that the answer is no longer needed.
func (l *Link) Ask(seq uint32, question []byte) error { return l.out.post(msgAsk, seq, question) }

// Serve reads the worker's messages until the socket ends, and returns the reason for the end. A
// result larger than maxMessage bytes is an error that ends Serve.
func (l *Link) Serve(e Events, maxMessage int) error {
	err := l.serve(e, fromWorker(maxMessage))
	l.inbox.close()
	return err
}

func (l *Link) serve(e Events, most bounds) error {
	for {
		kind, seq, n, err := receiveHead(&l.inbox, most)
		if err != nil {
			return err
		}

		if kind == msgAsk && n > uint64(e.Wanted(seq)) {
			if _, err := io.CopyN(io.Discard, &l.inbox, int64(n)); err != nil {
				return err
			}
			e.Answer(seq, nil, int(n))
			continue
		}

		body, err := readBody(&l.inbox, n)
		if err != nil {
			return err
		}

		switch kind {
		case msgHello:
			h, err := parseHello(body)
			if err != nil {
				return err
			}
			e.Hello(h)
		case msgReady:
			e.Ready()
		case msgFailed:
			e.Failed(body)
		case msgLog:
			e.Log(body)
		case msgStacks:
			e.Stacks(body)
		case msgBroker:
			e.Broker()
		case msgAsk:
			e.Answer(seq, body, len(body))
		case msgPayload:
			if err := l.inbox.keep(seq, body); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%w: message %d", errGarbage, kind)
		}
	}
}

// EndReading must be called once the worker is dead. Serve then reads the data that is left in the
// socket, but neither Serve nor SendBody waits for a process that still holds the other end.
func (l *Link) EndReading() {
	l.inbox.drain()
	_ = l.sock.SetWriteDeadline(time.Unix(1, 0))
}

// HangUp shuts the connection down. The worker then exits by itself.
func (l *Link) HangUp() {
	if raw, err := l.sock.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
	}
}

// MaxTasks is the maximum number of tasks that may be in transit to a worker, including tasks whose
// results have not been collected. The owner must count the tasks whose results have not been
// collected.
const MaxTasks = slots - perWord // the marks of perWord tasks are prepared together

// Room returns how many more tasks and bytes can be sent to the worker.
func (l *Link) Room() (tasks, bytes int) {
	l.advance()
	tasks = MaxTasks
	if len(l.sent) > 0 {
		tasks -= int(l.seq - l.sent[0].seq + uint32(l.sent[0].size))
	}
	return tasks, ringSize - int(l.taskTail-l.seen) - taskHead
}

// passes reports whether the worker claims to have passed another chunk.
func (l *Link) passes() bool {
	head := l.mem.word64(offTaskHead).Load()
	return len(l.sent) > 0 && l.sent[0].pos <= head && head <= l.taskTail
}

// advance forgets the chunks that the worker has passed. It ignores positions that are not the end
// of a chunk.
func (l *Link) advance() {
	head := l.mem.word64(offTaskHead).Load()
	n := 0
	for n < len(l.sent) && l.sent[n].pos <= head && head <= l.taskTail {
		l.seen = l.sent[n].pos
		n++
	}
	l.sent = l.sent[:copy(l.sent, l.sent[n:])]
}

// Stage writes a chunk into the ring without publishing it, and returns the number of its first
// task. The caller must check Room first. A body larger than MaxInline must be sent with SendBody.
func (l *Link) Stage(c Chunk) (seq uint32) {
	flags, body := uint16(0), c.Body
	if c.Prompt {
		flags |= flagPrompt
	}
	if len(c.Body) > MaxInline {
		flags |= flagExternal
		body = nil
	}
	l.mem.prepare(l.seq, uint32(c.Count))
	l.put(record{flags: flags, attempt: uint16(c.Attempt), worker: uint32(c.Worker), fn: uint32(c.Func), count: uint32(c.Count), seq: l.seq, id: c.ID, baggage: uint32(c.Baggage), timeout: c.Timeout, deadline: c.Deadline, body: body})
	l.sent = append(l.sent, passed{l.taskTail, l.seq + uint32(c.Count), c.Count})
	seq = l.seq
	l.seq += uint32(c.Count)
	return seq
}

// record is a chunk as stored in the ring.
type record struct {
	flags, attempt uint16
	fn, count, seq uint32
	id             uint64
	worker         uint32
	baggage        uint32
	timeout        time.Duration
	deadline       Moment
	body           []byte
}

// sumOffset is the offset of a chunk's checksum, the last field of its head.
const sumOffset = taskHead - 8

// chunkSum returns the checksum of a chunk's position in the ring, head and body. A worker copies
// the chunk and then compares checksums, so that it does not compute with stale arguments or with
// arguments that it has overwritten itself.
func chunkSum(pos uint64, head, body []byte) uint64 {
	return uint64(checksum(checksum(uint32(pos/8), head), body))
}

func (l *Link) put(r record) {
	var h [taskHead]byte
	size := taskHead + pad(len(r.body))
	binary.LittleEndian.PutUint32(h[0:], uint32(size))
	binary.LittleEndian.PutUint16(h[4:], r.flags)
	binary.LittleEndian.PutUint16(h[6:], r.attempt)
	binary.LittleEndian.PutUint32(h[8:], r.fn)
	binary.LittleEndian.PutUint32(h[12:], r.count)
	binary.LittleEndian.PutUint32(h[16:], r.seq)
	binary.LittleEndian.PutUint32(h[20:], uint32(len(r.body)))
	binary.LittleEndian.PutUint64(h[24:], r.id)
	binary.LittleEndian.PutUint32(h[32:], r.worker)
	binary.LittleEndian.PutUint32(h[36:], r.baggage)
	binary.LittleEndian.PutUint64(h[40:], uint64(r.timeout))
	binary.LittleEndian.PutUint64(h[48:], uint64(r.deadline))
	binary.LittleEndian.PutUint64(h[sumOffset:], chunkSum(l.taskTail, h[:sumOffset], r.body))

	ring := l.mem.taskRing()
	ring.put(l.taskTail, h[:])
	ring.put(l.taskTail+taskHead, r.body)
	l.taskTail += uint64(size)
}

// Publish makes staged chunks visible to the worker. It neither blocks nor wakes the worker.
func (l *Link) Publish() { l.mem.word64(offTaskTail).Store(l.taskTail) }

// Wake wakes the worker if it sleeps.
func (l *Link) Wake() error { return l.waker.ring() }

// Nudge wakes the worker even if it seems to be awake, because another process that has the
// worker's pipes may have consumed the wake-up. It is safe for concurrent use.
func (l *Link) Nudge() { _ = l.waker.writer.write() }

// SendBody sends the body of a published chunk if it is too large for the ring. It blocks until the
// socket has taken the body.
func (l *Link) SendBody(seq uint32, body []byte) error {
	if len(body) <= MaxInline {
		return nil
	}
	return l.out.send(msgPayload, seq, body)
}

// Stop asks the worker to finish its tasks, tear down and exit.
func (l *Link) Stop() error {
	l.put(record{flags: flagStop})
	l.Publish()
	return l.Wake()
}

// Low asks the worker to ring when it starts task seq or a later task.
func (l *Link) Low(seq uint32) { atomic.StoreUint32(l.mem.word32(offLow), seq) }

// Void takes back tasks from hi-1 down to lo, but stops at a task that the worker may have started.
// It returns the lowest task that it took back. It returns hi if there is none, or if the marks are
// unreliable.
func (l *Link) Void(lo, hi uint32) uint32 {
	got := l.mem.void(lo, hi)
	if !l.mem.intact() {
		return hi
	}
	return got
}

// Begun reports whether the worker may have started a task.
func (l *Link) Begun(seq uint32) bool { return l.mem.begun(seq) || !l.mem.intact() }

// Busy returns how long the worker has spent in tasks since its start, and the number of those
// tasks, as last reported by the worker.
func (l *Link) Busy() (time.Duration, uint64) {
	return time.Duration(l.mem.word64(offBusy).Load()), l.mem.word64(offTasks).Load()
}

// Slow returns the number and the duration of the last slow task that the worker has reported. Both
// are 0 if there was none. The worker times slow tasks one by one.
func (l *Link) Slow() (seq uint32, took time.Duration) {
	w := l.mem.word64(offSlow).Load()
	return uint32(w >> 32), time.Duration(uint32(w)) * time.Microsecond
}

var errOverwritten = fmt.Errorf("%w: something was written over the memory that it shares with this one", errGarbage)

// Check returns an error if the canaries show that the segment has been overwritten. In that case
// all tasks count as started, since some of them may have been.
func (l *Link) Check() error {
	if !l.mem.intact() {
		return errOverwritten
	}
	return nil
}

// CheckAll is like Check, but also checks the marks of all tasks that the worker has not passed.
func (l *Link) CheckAll() error {
	l.advance()
	if n := len(l.sent); n > 0 && !l.mem.intactMarks(l.sent[0].seq-uint32(l.sent[0].size), l.seq) {
		return errOverwritten
	}
	return l.Check()
}

// Uncollected reports whether the worker has committed results that have not been collected and
// accounted for. It is safe for concurrent use.
func (l *Link) Uncollected() bool { return l.mem.word64(offResTail).Load() != l.accounted.Load() }

func (l *Link) news() bool { return l.mem.word64(offResTail).Load() != l.resHead }

// WaitRoom is like Wait, but also returns if the worker has passed tasks since the last call to
// Room.
func (l *Link) WaitRoom() error {
	return l.doorbell.wait(func() bool { return l.news() || l.passes() })
}

// Wait sleeps until the worker rings or Kick is called. It may return early. The error is io.EOF
// once no process holds the other end of the worker's doorbell. The worker's death need not cause
// that, because another process may hold the doorbell's end. So a goroutine that learns of the
// death must call Kick.
func (l *Link) Wait() error { return l.doorbell.wait(l.hasNews) }

// blocked is set while a caller blocks a thread. There is at most one such caller.
var blocked atomic.Bool

// WaitAlone is like Wait, but for the only caller that is waiting. It wakes sooner, but blocks a
// thread. If there are several callers, only one blocks a thread; for the others, WaitAlone is the
// same as Wait.
func (l *Link) WaitAlone() error {
	if !blocked.CompareAndSwap(false, true) {
		return l.Wait()
	}
	defer blocked.Store(false)
	return l.doorbell.block(l.hasNews)
}

// Kick makes Wait return.
func (l *Link) Kick() { l.doorbell.kick() }
