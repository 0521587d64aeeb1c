//go:build linux

package link

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-multiprocessing/mp/internal/shm"
)

// Descriptors of a worker, in the order of ChildFiles.
const (
	FirstFD = 3
	NumFDs  = 4
)

const (
	// maxResultDelay is how long the parent is left asleep after a result while the worker has more
	// work.
	maxResultDelay = 5 * time.Millisecond
	// maxPromptDelay is like maxResultDelay, but for a result that a caller waits for.
	maxPromptDelay = 50 * time.Microsecond
	// clockInterval is how much time is spent in tasks between two readings of the clock.
	clockInterval = 100 * time.Microsecond
	// preciseBelow is the timeout below which it would matter that the clock's last reading is old.
	preciseBelow = 100 * maxResultDelay
)

// Task is a task from the worker's point of view. It is valid until the next call to Next.
type Task struct {
	Seq     uint32
	Func    int
	ID      uint64
	Worker  int // the worker's current number
	Attempt int
	Baggage []byte     // of the call that the task is part of
	Due     *time.Time // the task's deadline, shared by short tasks; nil means none
	In      []byte
}

// A Port is the worker's end of a link. Only one goroutine at a time may call Next and Finish. Log
// is safe for concurrent use.
type Port struct {
	mem   memory
	sock  *os.File
	out   sender
	waker ringer
	sleep sleeper

	pos   uint64 // the position of the next record
	cur   current
	task  Task
	buf   []byte
	tail  uint64
	clock clock

	dueSince time.Duration // the reading of the clock when the last deadline was computed

	unrung atomic.Bool // there are results for which the parent has not been woken
	timer  *time.Timer
	timed  atomic.Bool
	late   atomic.Bool // the timer has fired: the current task may be a long one

	mu       sync.Mutex
	cond     sync.Cond
	payloads map[uint32][]byte
	gone     error
}

// current is the chunk being processed.
type current struct {
	rec  record
	next uint32 // the index of the next task in the chunk
	end  uint64 // the position after the chunk
	left []byte // the bodies of the remaining tasks
}

// Open takes over the worker's descriptors, sets their close-on-exec flags and blocking modes, and
// reads the configuration.
func Open() (*Port, Config, error) {
	for fd := FirstFD; fd <= BrokerFD; fd++ {
		syscall.CloseOnExec(fd)
	}
	_ = syscall.SetNonblock(FirstFD, true)
	_ = syscall.SetNonblock(FirstFD+2, false)
	mem, err := shm.Map(FirstFD+1, Size)
	if err != nil {
		return nil, Config{}, err
	}

	_ = syscall.Close(FirstFD + 1)
	p := &Port{mem: mem, sock: os.NewFile(FirstFD, "mp-socket"), payloads: map[uint32][]byte{}}
	p.cond.L = &p.mu
	p.out.w = p.sock
	p.waker = ringer{p.mem.word32(offDoorbell), fdWriter(FirstFD + 3)}
	p.sleep = sleeper{armed: p.mem.word32(offAsleep), fd: FirstFD + 2}
	p.timer = time.AfterFunc(time.Hour, p.ringLate)
	p.timer.Stop()
	kind, _, body, err := receive(p.sock, fromParent)
	if err == nil && kind != msgHello {
		err = errGarbage
	}

	if err != nil {
		return nil, Config{}, fmt.Errorf("no greeting from the parent: %w", err)
	}
	c, err := parseConfig(body)
	return p, c, err
}

// Hello tells the parent which functions this worker has.
func (p *Port) Hello(h Hello) error {
	h.Version = Version
	return p.out.send(msgHello, 0, h.append(nil))
}

// Ready tells the parent that the worker can serve.
func (p *Port) Ready() error { return p.out.send(msgReady, 0, nil) }

// Fail tells the parent why the worker cannot serve.
func (p *Port) Fail(data []byte) error { return p.out.send(msgFailed, 0, data) }

// Log sends a log record.
func (p *Port) Log(data []byte) error { return p.out.send(msgLog, 0, data) }

// AskBroker asks the parent to serve the worker's socket for shared segments. The worker inherits
// that socket as descriptor BrokerFD, after the descriptors of the link.
func (p *Port) AskBroker() error { return p.out.send(msgBroker, 0, nil) }

// Answer sends the answer to a query from the parent.
func (p *Port) Answer(seq uint32, data []byte) error { return p.out.send(msgAsk, seq, data) }

// BrokerFD is the descriptor of the socket for shared segments.
const BrokerFD = FirstFD + NumFDs

// Committed returns a word that changes with each committed outcome.
func (p *Port) Committed() *atomic.Uint64 { return p.mem.word64(offResTail) }

// Requests are the callbacks for the parent's messages other than tasks. They are called on one
// goroutine, in the order of the messages.
type Requests struct {
	Cancel func(seq uint32, deadline bool)
	Stacks func() []byte
	Go     func()
	Ask    func(seq uint32, question []byte)
}

// Serve reads the parent's messages until the parent is gone.
func (p *Port) Serve(r Requests) error {
	err := p.serve(r)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = err
	p.cond.Broadcast()
	return err
}

func (p *Port) serve(r Requests) error {
	for {
		kind, seq, body, err := receive(p.sock, fromParent)
		if err != nil {
			return err
		}

		switch kind {
		case msgPayload:
			p.keep(seq, body)
		case msgCancel:
			r.Cancel(seq, len(body) > 0)
		case msgGo:
			r.Go()
		case msgAsk:
			r.Ask(seq, body)
		case msgStacks:
			err = p.out.send(msgStacks, 0, r.Stacks())
		default:
			err = errGarbage
		}
		if err != nil {
			return err
		}
	}
}

func (p *Port) keep(seq uint32, body []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.payloads[seq] = body
	p.cond.Broadcast()
}

func (p *Port) claim(seq uint32) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if b, ok := p.payloads[seq]; ok {
			delete(p.payloads, seq)
			return b, nil
		}
		if p.gone != nil {
			return nil, p.gone
		}
		p.cond.Wait()
	}
}

// Next returns the next task that this worker must run. It sleeps until there is one. The error is
// io.EOF if the worker must stop because the parent has asked it to or is gone.
func (p *Port) Next() (*Task, error) {
	for {
		c := &p.cur
		for c.next < c.rec.count {
			if err := p.cut(c); err != nil {
				return nil, err
			}
			if c.rec.timeout != 0 && (p.clock.now != p.dueSince || c.rec.timeout < preciseBelow) {
				p.task.Due = p.due(&c.rec)
			}

			seq := p.task.Seq
			mine, ok := p.mem.begin(seq)
			if !ok {
				return nil, errOverwritten
			}
			if mine {
				if int32(seq-atomic.LoadUint32(p.mem.word32(offLow))) >= 0 {
					p.ring() // there is little work left
				}
				return &p.task, nil
			}

			p.unrung.Store(true) // tell the parent before sleeping that there is room again
		}
		if c.end != 0 {
			p.pass()
		}
		if err := p.load(); err != nil {
			return nil, err
		}
	}
}

// due returns the deadline of a task of r that starts now. Usually, the last reading of the clock
// is about 100 µs old. If tasks have suddenly become longer, the reading can be as old as
// maxResultDelay plus the duration of a task.
func (p *Port) due(r *record) *time.Time {
	at := p.clock.last()
	if r.timeout < preciseBelow {
		at = time.Now()
	}
	p.dueSince = p.clock.now
	at = at.Add(r.timeout)
	if r.deadline != 0 {
		if all := r.deadline.Time(); r.timeout == 0 || all.Before(at) {
			at = all
		}
	}
	return &at
}

// cut removes the next task from the current chunk.
func (p *Port) cut(c *current) error {
	if len(c.left) < 4 {
		return errGarbage
	}
	n := int(binary.LittleEndian.Uint32(c.left))
	if n > len(c.left)-4 {
		return errGarbage
	}
	p.task.In = c.left[4 : 4+n : 4+n]
	p.task.Seq = c.rec.seq + c.next
	p.task.ID = c.rec.id + uint64(c.next)
	c.left = c.left[4+n:]
	c.next++
	return nil
}

// pass frees the chunk's space in the ring.
func (p *Port) pass() {
	p.clock.chunk(p)
	p.pos = p.cur.end
	p.cur = current{}
	p.task.In, p.task.Baggage = nil, nil // the task's data may be large
	p.mem.word64(offTaskHead).Store(p.pos)
}

func (p *Port) news() bool { return p.mem.word64(offTaskTail).Load() != p.pos }

// load waits for a record and makes its chunk the current one.
func (p *Port) load() error {
	for !p.news() {
		p.clock.idle(p)
		p.ringIfUnrung()
		if err := p.sleep.wait(p.news); err != nil {
			return io.EOF // the parent is gone
		}
		p.clock.start()
	}

	ring := p.mem.taskRing()
	var h [taskHead]byte
	ring.appendTo(h[:0], p.pos, taskHead)
	size := int(binary.LittleEndian.Uint32(h[0:]))
	r := record{
		flags: binary.LittleEndian.Uint16(h[4:]), attempt: binary.LittleEndian.Uint16(h[6:]),
		fn: binary.LittleEndian.Uint32(h[8:]), count: binary.LittleEndian.Uint32(h[12:]),
		seq: binary.LittleEndian.Uint32(h[16:]), id: binary.LittleEndian.Uint64(h[24:]),
		worker: binary.LittleEndian.Uint32(h[32:]), baggage: binary.LittleEndian.Uint32(h[36:]),
		timeout: time.Duration(binary.LittleEndian.Uint64(h[40:])), deadline: Moment(binary.LittleEndian.Uint64(h[48:])),
	}

	n := int(binary.LittleEndian.Uint32(h[20:]))
	if size < taskHead || n > size-taskHead || n > MaxInline || size > ringSize {
		return errGarbage
	}
	p.buf = ring.appendTo(p.buf[:0], p.pos+taskHead, n)
	if chunkSum(p.pos, h[:sumOffset], p.buf) != binary.LittleEndian.Uint64(h[sumOffset:]) {
		return errOverwritten
	}

	p.cur = current{rec: r, end: p.pos + uint64(size)}
	p.task.Func, p.task.Attempt, p.task.Worker = int(r.fn), int(r.attempt), int(r.worker)
	if p.task.Due = nil; r.timeout|time.Duration(r.deadline) != 0 {
		p.task.Due = p.due(&r)
	}
	if r.flags&flagStop != 0 {
		p.pass()
		return io.EOF
	}
	if r.flags&flagExternal != 0 {
		var err error
		p.clock.tell(p)
		if p.cur.left, err = p.claim(r.seq); err != nil {
			return err
		}
		p.clock.start() // the transfer does not count as time spent in tasks
	} else {
		p.cur.left = p.buf
	}
	if r.baggage > uint32(len(p.cur.left)) {
		return errGarbage
	}
	p.task.Baggage, p.cur.left = p.cur.left[:r.baggage:r.baggage], p.cur.left[r.baggage:]
	return nil
}

// Finish commits the outcome of the task that Next returned last. A committed outcome survives this
// process.
func (p *Port) Finish(kind uint8, data []byte) error {
	seq := p.task.Seq
	word := uint32(kind) << resultKindBit
	size := resultHead + pad(len(data))
	external := len(data) > MaxInline || p.uncollected()+size > inlineSize
	if external {
		if err := p.external(seq, data); err != nil {
			return err
		}
		word |= resultExternal
		size, data = resultHead, nil
	}

	// All sizes are multiples of 8, so a head never wraps.
	ring := p.mem.resRing()
	head := ring[p.tail%ringSize:]
	if !external {
		word |= uint32(len(data))
	}
	if len(head)-resultHead >= len(data) {
		copy(head[resultHead:], data)
	} else {
		ring.put(p.tail+resultHead, data)
	}

	switch {
	case external:
	case isWord(len(data)):
		seq = sealWord(seq, word, binary.LittleEndian.Uint64(ring[(p.tail+resultHead)%ringSize:]))
	default:
		seq = seal(seq, word, data)
	}

	binary.LittleEndian.PutUint32(head, word)
	binary.LittleEndian.PutUint32(head[4:], seq)
	p.tail += uint64(size)
	p.mem.word64(offResTail).Store(p.tail)
	p.clock.finished(p)
	if external {
		p.ring()
		return nil
	}
	p.ringWhenDue()
	return nil
}

// external sends a body over the socket. If the parent does not keep up, this also slows the worker
// down.
func (p *Port) external(seq uint32, data []byte) error {
	p.ring()
	return p.out.send(msgPayload, seq, data)
}

// uncollected returns how many bytes of the result ring are in use.
func (p *Port) uncollected() int { return int(p.tail - p.mem.word64(offResHead).Load()) }

// ring wakes the parent if it sleeps.
func (p *Port) ring() {
	p.clock.rang()
	if p.unrung.Load() {
		p.unrung.Store(false)
	}
	_ = p.waker.ring()
}

func (p *Port) ringIfUnrung() {
	if p.unrung.Load() {
		p.ring()
	}
}

// ringWhenDue decides whether to wake the parent for the last committed result. Waking up costs the
// parent as much as thousands of small results, so the worker delays the wake-up while it has more
// work. A timer limits the delay when a long task runs, and causes that task to be timed
// separately.
func (p *Port) ringWhenDue() {
	if !p.unrung.Load() {
		p.unrung.Store(true)
	}
	since := p.clock.sinceRing()
	last := p.cur.next == p.cur.rec.count
	prompt := last && p.cur.rec.flags&flagPrompt != 0 && (since > maxPromptDelay || p.clock.average > maxPromptDelay/2)
	if since > maxResultDelay || prompt || p.uncollected() > inlineSize/2 {
		p.ring()
	}
	if !p.timed.Load() {
		p.timed.Store(true)
		p.timer.Reset(maxResultDelay)
	}
}

// ringLate wakes the parent while a task runs. The timer calls it.
func (p *Port) ringLate() {
	p.timed.Store(false)
	p.late.Store(true)
	if p.unrung.Load() {
		p.unrung.Store(false)
		_ = p.waker.ring()
	}
}

// slowTask is the minimum duration of a task that is reported to the parent separately.
const slowTask = 6 * time.Millisecond

// clock measures the duration of tasks without reading the time for each task.
type clock struct {
	base    time.Time
	began   time.Duration // when the time that has not been reported began
	now     time.Duration // the last reading
	rung    time.Duration
	tasks   uint64 // finished in total
	told    uint64 // number of tasks reported to the parent
	busy    time.Duration
	until   int // the number of tasks until the next reading
	average time.Duration
}

func (c *clock) read() time.Duration {
	if c.base.IsZero() {
		c.base = time.Now()
	}
	c.now = time.Since(c.base)
	return c.now
}

// last returns the time of the last reading.
func (c *clock) last() time.Time {
	if c.base.IsZero() {
		c.read()
	}
	return c.base.Add(c.now)
}

func (c *clock) start() { c.began = c.read() }

func (c *clock) finished(p *Port) {
	c.tasks++
	if c.until--; (c.until <= 0 || p.late.Load()) && c.tell(p) >= clockInterval/2 {
		// With one processor, the garbage collector's goroutine waits until this goroutine yields.
		// Until that goroutine has run, every pointer write costs more.
		runtime.Gosched()
	}
}

// tell adds the time since c.began to the figures for the parent, and returns that time. It returns
// 0 if no task has been finished since the last report.
func (c *clock) tell(p *Port) (stretch time.Duration) {
	n := c.tasks - c.told
	if n == 0 {
		return 0
	}
	stretch = c.read() - c.began
	if p.late.Load() {
		p.late.Store(false)
	}
	// The slow task can only be the last one, because an earlier slow task would have been
	// reported.
	if took := stretch - time.Duration(n-1)*c.average; took >= slowTask {
		p.mem.word64(offSlow).Store(uint64(p.task.Seq)<<32 | uint64(min(took.Microseconds(), math.MaxUint32)))
	}

	c.began, c.told = c.now, c.tasks
	c.busy += stretch
	c.average = stretch / time.Duration(n)
	c.until = int(min(max(clockInterval/(c.average+1), 1), 256))
	p.mem.word64(offBusy).Store(uint64(c.busy))
	p.mem.word64(offTasks).Store(c.tasks)
	return stretch
}

func (c *clock) chunk(p *Port) {
	if c.tasks-c.told > 64 {
		c.tell(p)
	}
}
func (c *clock) idle(p *Port)             { c.tell(p); c.until = 1 }
func (c *clock) rang()                    { c.rung = c.now }
func (c *clock) sinceRing() time.Duration { return c.now - c.rung }
