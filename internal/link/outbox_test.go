//go:build linux

package link

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// workerSocket returns the worker's end of l's socket.
func workerSocket(t *testing.T, l *Link) *os.File {
	t.Helper()
	fd, err := unix.FcntlInt(uintptr(l.ChildFiles()[0]), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "worker")
	t.Cleanup(func() { _ = f.Close() })
	l.CloseChild()
	return f
}

// Messages to a worker that does not read must be refused once there is no room, and post must not
// wait. When the worker reads, admitted messages must arrive in order.
func TestPostNeverWaits(t *testing.T) {
	l := newLink(t)
	worker := workerSocket(t, l)
	before := runtime.NumGoroutine()
	admitted := uint32(0)
	within(t, "posting", func() {
		for {
			if err := l.Ask(admitted, bytes.Repeat([]byte{byte(admitted)}, 1000)); err != nil {
				if !errors.Is(err, errQueueFull) {
					t.Error(err)
				}
				return
			}
			if admitted++; admitted > 1<<20 {
				t.Error("there is no bound")
				return
			}
		}
	})

	within(t, "only the writer is left", func() { // the goroutine that posted may be about to end
		for runtime.NumGoroutine() > before+2 { // the writer and this goroutine
			runtime.Gosched()
		}
	})

	for seq := range admitted {
		kind, got, body, err := receive(worker, anything)
		if err != nil || kind != msgAsk || got != seq || !bytes.Equal(body, bytes.Repeat([]byte{byte(seq)}, 1000)) {
			t.Fatalf("message %d: kind %d, %d, %d bytes, %v", seq, kind, got, len(body), err)
		}
	}
	if err := l.Cancel(7, true); err != nil {
		t.Errorf("there is room again: %v", err)
	}
}

// A message larger than the queue must be admitted if the queue is empty. Messages that are posted
// in the meantime must be refused or arrive after it.
func TestLargeMessageIsAdmitted(t *testing.T) {
	l := newLink(t)
	worker := workerSocket(t, l)
	large := bytes.Repeat([]byte("large"), 1<<20)
	sent := make(chan error, 1)
	go func() { sent <- l.SendBody(5, large) }()
	kind, seq, body, err := receive(worker, anything)
	if err != nil || kind != msgPayload || seq != 5 || !bytes.Equal(body, large) {
		t.Fatalf("kind %d, %d, %d bytes, %v", kind, seq, len(body), err)
	}

	if err := <-sent; err != nil {
		t.Error(err)
	}
	if err := l.Greet(Config{Setup: Bound{Name: "f", Arg: large}}); err != nil { // does not block
		t.Fatal(err)
	}
	if err := l.Go(); !errors.Is(err, errQueueFull) {
		t.Errorf("a note behind it: %v", err)
	}
	if kind, _, body, err := receive(worker, anything); err != nil || kind != msgHello || len(body) < len(large) {
		t.Fatalf("kind %d, %d bytes, %v", kind, len(body), err)
	}
}

// The owner must be told if the worker reads nothing while the queue is full. It must not be told
// if the worker reads a little now and then, or has nothing to read.
func TestStuckWorkerIsTold(t *testing.T) {
	const limit = 50 * time.Millisecond
	l := newLink(t)
	told := make(chan error, 10)
	l.Watch(limit, func(err error) { told <- err })
	worker := workerSocket(t, l)
	if err := l.Cancel(1, false); err != nil { // there is room for more
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() { sent <- l.SendBody(2, make([]byte, 8<<20)) }()

	var read atomic.Int64
	slow, stop := time.NewTicker(limit/10), time.After(6*limit)
	buf := make([]byte, 40<<10) // about the smallest amount that the kernel reports
	for done := false; !done; {
		select {
		case <-slow.C:
			n, err := worker.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			read.Add(int64(n))
		case <-stop:
			done = true
		}
	}

	select {
	case err := <-told:
		t.Fatalf("told of a slow worker, which has read %d bytes: %v", read.Load(), err)
	default:
	}
	select {
	case err := <-told:
		if !errors.Is(err, errStuck) {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("not told of a stuck worker")
	}
	if err := l.Cancel(3, false); !errors.Is(err, errQueueFull) {
		t.Error(err)
	}

	select {
	case <-told:
		t.Error("told twice")
	case <-time.After(4 * limit):
	}
	l.EndReading() // as after the worker's death
	if err := <-sent; err == nil {
		t.Error("the message was sent")
	}
}

// A worker that has read part of a large message may need seconds to allocate memory for the rest.
func TestGrowingWorkerIsNotStuck(t *testing.T) {
	const size = 2 * grownPerSecond
	l := newLink(t)
	told := make(chan error, 10)
	l.Watch(time.Millisecond, func(err error) { told <- err })
	worker := workerSocket(t, l)
	sent := make(chan error, 1)
	go func() { sent <- l.SendBody(1, make([]byte, size)) }()
	if _, err := io.ReadFull(worker, make([]byte, size/2)); err != nil {
		t.Fatal(err)
	}

	paused := time.Now()
	<-told
	if after, least := time.Since(paused), growing(size)/2; after < least {
		t.Errorf("told of a worker that had taken no byte for %v: it may for %v", after, least)
	}
	l.EndReading()
	<-sent
}

// MaxMessage has no upper limit, so the allowed time must grow with the message.
func TestTimeToGrow(t *testing.T) {
	for _, c := range []struct {
		bytes int
		least time.Duration
	}{{0, 0}, {grownPerSecond, time.Second}, {600 * grownPerSecond, 600 * time.Second}} {
		if d := growing(c.bytes); d < c.least || d > c.least+time.Second {
			t.Errorf("%d bytes: %v", c.bytes, d)
		}
	}
}

// A late call to checkReader must not count: this process was stopped, and the worker may have
// been, too.
func TestLateCheckIsNone(t *testing.T) {
	l := newLink(t)
	told := make(chan error, 10)
	l.Watch(time.Hour, func(err error) { told <- err })
	workerSocket(t, l)
	sent := make(chan error, 1)
	go func() { sent <- l.SendBody(2, make([]byte, 8<<20)) }()
	o := &l.out
	check := func(due time.Time) {
		o.mu.Lock()
		o.before, o.due = o.sight(), due
		o.mu.Unlock()
		o.checkReader()
	}

	for stuck := uint64(0); ; { // until the socket does not accept any more
		o.mu.Lock()
		moved := o.moved
		o.mu.Unlock()
		if moved > 0 && moved == stuck {
			break
		}
		stuck = moved
		time.Sleep(50 * time.Millisecond)
	}

	check(time.Now().Add(-time.Hour))
	if len(told) > 0 {
		t.Error("told by a look that came an hour late")
	}
	check(time.Now())
	if len(told) == 0 {
		t.Error("not told by one that came in time")
	}
	l.EndReading() // as after the worker's death
	if err := <-sent; err == nil {
		t.Error("the message was sent")
	}
}

// Closing the link must end waiting calls of send.
func TestCloseEndsSending(t *testing.T) {
	l := newLink(t)
	_ = workerSocket(t, l)
	ended := make(chan error, 2)
	for range 2 { // one goroutine writes, the other waits for its turn
		go func() { ended <- l.SendBody(1, make([]byte, 8<<20)) }()
	}

	l.out.mu.Lock()
	for !l.out.short {
		l.out.mu.Unlock()
		runtime.Gosched()
		l.out.mu.Lock()
	}
	l.out.mu.Unlock()

	l.CloseFiles()
	for range 2 {
		select {
		case err := <-ended:
			if err == nil {
				t.Error("it was sent")
			}
		case <-time.After(20 * time.Second):
			t.Fatal("it waits for ever")
		}
	}
	if err := l.Cancel(1, false); err == nil {
		t.Error("there is nobody to be told")
	}
}

// The memory for a message must grow with the bytes that have arrived, whatever the message's head
// claims.
func TestBodyGrowsAsItArrives(t *testing.T) {
	const claimed = 1 << 40
	var arrived, worst int
	r := readerFunc(func(p []byte) (int, error) {
		worst = max(worst, (len(p)+arrived)/max(arrived, firstAlloc/2))
		n := min(len(p), 32<<10)
		if arrived += n; arrived > 260<<20 {
			return 0, io.ErrUnexpectedEOF
		}
		return n, nil
	})

	if _, err := readBody(r, claimed); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	if worst > 2 {
		t.Errorf("there was %d times as much memory as had arrived", worst)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
