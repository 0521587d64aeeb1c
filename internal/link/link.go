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

	flagPrompt   = 1 << 0 // somebody waits for the result
	flagExternal = 1 << 1 // the body comes over the socket
	flagStop     = 1 << 2 // no task: tear down and exit

	resultExternal = 1 << 31
	resultLenMask  = 1<<28 - 1
	resultKindBit  = 28
)

// MaxInline is the largest body that goes through a ring, which has room for several. A larger
// one arrives in memory of its own, which nothing else uses.
const MaxInline = 64 << 10

// Chunk is a run of tasks of one function with consecutive numbers.
type Chunk struct {
	Func    int    // the function's place in Hello.Funcs
	Attempt int    // from 1
	Worker  int    // the worker's number in the crew
	ID      uint64 // of the first task; the others follow
	Count   int
	Prompt  bool // wake the parent as soon as the chunk is done
	Baggage int  // how many bytes of Body, the first, go along with each task

	Timeout  time.Duration // of each task, 0 for none; and
	Deadline Moment        // of all: what their contexts say. It is the parent that sees to it
	Body     []byte
}

// Events are what a worker says outside of results. They are called on one
// goroutine, in the order of the messages.
type Events struct {
	Hello  func(Hello)
	Ready  func()
	Failed func(data []byte)
	Log    func(data []byte)
	Stacks func(data []byte)
	Broker func()
	// Wanted returns the maximum size of an answer to question seq. A longer one is read and dropped: Answer then
	// has its size and no data.
	Wanted func(seq uint32) int
	Answer func(seq uint32, data []byte, size int)
}

// A Link is the parent's end. Stage, Publish, Collect, Wait belong to one
// goroutine at a time, the owner; the other methods are safe for concurrent use.
type Link struct {
	mem   memory
	sock  *os.File
	out   outbox
	waker ringer
	bell  *listener

	hasNews func() bool // news, made once
	files   []*os.File
	childs  []int

	taskTail uint64
	seq      uint32   // number of the next task
	sent     []passed // chunks that the worker has not passed
	seen     uint64   // the last valid taskHead
	resHead  uint64
	buf      []byte

	accounted atomic.Uint64 // resHead when Accounted was called, for Uncollected

	inbox inbox
}

// passed remembers where a chunk ends.
type passed struct {
	pos  uint64
	seq  uint32
	size int
}

// New makes a link. ChildFiles are the descriptors for the worker, in order;
// call CloseChild once it has them.
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
	return l, l.makeBells()
}

// makeSocket makes the socket. It makes out-of-band bytes ordinary ones: the kernel would otherwise
// close descriptors that come with them while we read.
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

// makeBells makes the pipes of the worker's bell and of the parent's.
func (l *Link) makeBells() error {
	var wake, bell [2]int
	if err := syscall.Pipe2(wake[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK); err != nil {
		return os.NewSyscallError("pipe2", err)
	}
	l.childs = append(l.childs, wake[0])
	rope, err := newPipeRope(l.own(wake[1], "mp-wake"))
	if err != nil {
		return err
	}
	l.waker = ringer{l.mem.word32(offAsleep), rope}
	if err := syscall.Pipe2(bell[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK); err != nil {
		return os.NewSyscallError("pipe2", err)
	}
	l.childs = append(l.childs, bell[1])
	ours := l.own(bell[0], "mp-bell")
	alarm, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	l.bell, err = newListener(l.mem.word32(offBell), ours, l.own(alarm, "mp-alarm"))
	return err
}

func (l *Link) own(fd int, name string) *os.File {
	f := os.NewFile(uintptr(fd), name)
	l.files = append(l.files, f)
	return f
}

// ChildFiles are the worker's descriptors: socket, segment, wake, bell.
func (l *Link) ChildFiles() []int { return l.childs }

// CloseChild closes the parent's copies of the worker's descriptors.
func (l *Link) CloseChild() {
	for _, fd := range l.childs {
		_ = syscall.Close(fd)
	}
	l.childs = nil
}

// CloseFiles closes the descriptors, which ends Serve and every wait. The
// segment stays: results can still be collected.
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

// closeSocket closes the socket without waiting. The kernel closes descriptors in unread messages together
// with the socket, however long that takes, so a closer does it if there is something unread.
func (l *Link) closeSocket() {
	l.inbox.shut()
	if l.inbox.unread() > 0 {
		l.inbox.closer.CloseFile(l.sock)
		return
	}
	_ = l.sock.Close()
}

// Close releases everything. Nothing may use the link any more.
func (l *Link) Close() {
	l.CloseFiles()
	if l.mem != nil {
		_ = shm.Unmap(l.mem)
		l.mem = nil
	}
}

// Watch sets a function to call if the worker takes nothing from the socket for limit while the send queue is
// full. onStuck is called at most once, in a goroutine of its own. Watch must be called before anything
// is sent.
func (l *Link) Watch(limit time.Duration, onStuck func(error)) { l.out.watch(limit, onStuck) }

// Greet sends the worker its configuration. Like all methods that tell the worker
// something other than tasks it does not block; an error means that the message is not sent.
func (l *Link) Greet(c Config) error {
	c.Version = Version
	return l.out.post(msgHello, 0, c.append(nil))
}

// Cancel asks the worker to cancel the context of a running task, with the error
// of a passed deadline if it was one.
func (l *Link) Cancel(seq uint32, deadline bool) error {
	var body []byte
	if deadline {
		body = oneByte
	}
	return l.out.post(msgCancel, seq, body)
}

// Go lets the worker run its setup.
func (l *Link) Go() error { return l.out.post(msgGo, 0, nil) }

// AskStacks asks the worker for its goroutines' stacks.
func (l *Link) AskStacks() error { return l.out.post(msgStacks, 0, nil) }

// Ask asks the worker a question, of at least one byte, which it answers with the same number. It is
// told with Ask, of no bytes, that the answer is not needed any more.
func (l *Link) Ask(seq uint32, question []byte) error { return l.out.post(msgAsk, seq, question) }

// Serve reads the worker's messages until the socket ends, and returns why. A result of
// more than maxMessage bytes ends it with an error.
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

// EndReading is called once the worker is dead: Serve takes what is still in the
// socket, but does not wait for whoever may hold the other end, nor does
// SendBody.
func (l *Link) EndReading() {
	l.inbox.drain()
	_ = l.sock.SetWriteDeadline(time.Unix(1, 0))
}

// HangUp ends the connection for the worker, which then ends by itself.
func (l *Link) HangUp() {
	if raw, err := l.sock.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
	}
}

// MaxTasks is how many tasks may be on their way to a worker, those whose results
// have not been collected included. The owner keeps count of the latter.
const MaxTasks = slots - perWord // the tasks of a word of marks come and go together

// Room returns how many tasks and bytes the worker can still be sent.
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

// advance forgets the chunks that the worker has passed. A position that is
// not the end of a chunk is not believed.
func (l *Link) advance() {
	head := l.mem.word64(offTaskHead).Load()
	n := 0
	for n < len(l.sent) && l.sent[n].pos <= head && head <= l.taskTail {
		l.seen = l.sent[n].pos
		n++
	}
	l.sent = l.sent[:copy(l.sent, l.sent[n:])]
}

// Stage writes a chunk into the ring without showing it to the worker, and
// returns the number of its first task. It needs Room; a body above MaxInline
// will be sent by SendBody.
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

// record is a chunk as it lies in the ring.
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

// sumOffset is where the checksum of a chunk lies in its head, behind all else.
const sumOffset = taskHead - 8

// chunkSum is the checksum of a chunk's position in the ring, head and body, so that a worker does not compute with
// arguments that it has overwritten itself, or that lay there before: it copies the chunk, and then compares.
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

// Publish shows what was staged to the worker; it neither blocks nor wakes it.
func (l *Link) Publish() { l.mem.word64(offTaskTail).Store(l.taskTail) }

// Wake wakes the worker if it sleeps.
func (l *Link) Wake() error { return l.waker.ring() }

// Nudge wakes the worker even if it seems awake: another process that has
// its pipes may have taken the wake-up. It is safe for concurrent use.
func (l *Link) Nudge() { _ = l.waker.rope.pull() }

// SendBody sends the body of a published chunk if it is too large for the
// ring. It blocks until the worker has taken it.
func (l *Link) SendBody(seq uint32, body []byte) error {
	if len(body) <= MaxInline {
		return nil
	}
	return l.out.send(msgPayload, seq, body)
}

// Stop asks the worker to finish what it has, tear down and exit.
func (l *Link) Stop() error {
	l.put(record{flags: flagStop})
	l.Publish()
	return l.Wake()
}

// Low asks to be woken when the worker begins task seq or a later one.
func (l *Link) Low(seq uint32) { atomic.StoreUint32(l.mem.word32(offLow), seq) }

// Void takes back the tasks from hi-1 down to lo that the worker has not begun
// and returns the lowest of them; hi if there are none, or if that cannot be known.
func (l *Link) Void(lo, hi uint32) uint32 {
	got := l.mem.void(lo, hi)
	if !l.mem.intact() {
		return hi
	}
	return got
}

// Begun reports whether the worker has begun a task, as far as it can be known.
func (l *Link) Begun(seq uint32) bool { return l.mem.begun(seq) || !l.mem.intact() }

// Busy returns the time that the worker has spent in tasks and their number,
// both since its start and as far as it has told.
func (l *Link) Busy() (time.Duration, uint64) {
	return time.Duration(l.mem.word64(offBusy).Load()), l.mem.word64(offTasks).Load()
}

// Slow returns the last task that took long, which is measured by itself, and how long it took, as far
// as the worker has told; 0 if none did.
func (l *Link) Slow() (seq uint32, took time.Duration) {
	w := l.mem.word64(offSlow).Load()
	return uint32(w >> 32), time.Duration(uint32(w)) * time.Microsecond
}

var errOverwritten = fmt.Errorf("%w: something was written over the memory that it shares with this one", errGarbage)

// Check returns an error if something has been written over the segment, as far as its canaries tell. Then
// all tasks count as begun, since some of them may have been.
func (l *Link) Check() error {
	if !l.mem.intact() {
		return errOverwritten
	}
	return nil
}

// CheckAll is Check that also looks at the marks of all tasks that the worker has not passed.
func (l *Link) CheckAll() error {
	l.advance()
	if n := len(l.sent); n > 0 && !l.mem.hold(l.sent[0].seq-uint32(l.sent[0].size), l.seq) {
		return errOverwritten
	}
	return l.Check()
}

// Uncollected reports whether the worker says that there are results which have not been collected and accounted
// for. It is safe for concurrent use.
func (l *Link) Uncollected() bool { return l.mem.word64(offResTail).Load() != l.accounted.Load() }

func (l *Link) news() bool { return l.mem.word64(offResTail).Load() != l.resHead }

// WaitRoom is Wait that also returns when the worker has passed tasks since Room
// was asked.
func (l *Link) WaitRoom() error {
	return l.bell.wait(func() bool { return l.news() || l.passes() })
}

// Wait sleeps until the worker rings or Kick is called. It may return early. The error is io.EOF
// once no process has the worker's bell. The worker's death need not lead to that, since
// another process may have the bell: a goroutine that learns of the death must call Kick.
func (l *Link) Wait() error { return l.bell.wait(l.hasNews) }

// blocked is taken by the one caller that may block a thread.
var blocked atomic.Bool

// WaitAlone is Wait for a caller that has nobody beside it: it wakes sooner, but
// keeps a thread. Callers beyond the first just Wait.
func (l *Link) WaitAlone() error {
	if !blocked.CompareAndSwap(false, true) {
		return l.Wait()
	}
	defer blocked.Store(false)
	return l.bell.block(l.hasNews)
}

// Kick makes Wait return.
func (l *Link) Kick() { l.bell.kick() }
