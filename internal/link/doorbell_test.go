//go:build linux

package link

import (
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A kick must not be lost, whether it comes before the wait, when there is no listener on the
// poller, or at the same time as the wait.
func TestKickIsNeverLost(t *testing.T) {
	l := newLink(t)
	for _, wait := range []func() error{l.Wait, l.WaitAlone} {
		l.Kick()
		if err := wait(); err != nil {
			t.Fatal(err)
		}

		for range 2000 {
			var wg sync.WaitGroup
			wg.Go(l.Kick)
			if err := wait(); err != nil {
				t.Fatal(err)
			}
			wg.Wait()
			l.Kick() // so that a kick is pending, however the two have raced
			if err := wait(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Kicks without a wait must not fill the pipe.
func TestKickNeverBlocks(t *testing.T) {
	l := newLink(t)
	for range 100_000 {
		l.Kick()
	}
	if err := l.Wait(); err != nil {
		t.Fatal(err)
	}
}

// reopened opens a worker's descriptor once more. A process can reopen either end of a pipe for
// reading or for writing.
func reopened(t *testing.T, fd, flags int) int {
	t.Helper()
	again, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), flags|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(again) })
	return again
}

// full fills a pipe.
func full(t *testing.T, fd int) {
	t.Helper()
	for {
		if _, err := unix.Write(fd, make([]byte, 4096)); errors.Is(err, unix.EAGAIN) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// within fails the test if f does not return in time.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("in vain: ", what)
	}
}

// A worker that fills its wake pipe and makes its end of the pipe blocking must not delay the
// parent.
func TestFullWakePipe(t *testing.T) {
	l := newLink(t)
	wake := l.ChildFiles()[2]
	full(t, reopened(t, wake, unix.O_WRONLY))
	if err := unix.SetNonblock(wake, false); err != nil {
		t.Fatal(err)
	}
	within(t, "a ring", func() {
		atomic.StoreUint32(l.mem.word32(offAsleep), 1)
		if err := l.Wake(); err != nil {
			t.Error(err)
		}
	})
}

// A worker that fills the parent's doorbell and makes its end of the pipe blocking must delay
// neither a wait nor a kick.
func TestFullDoorbell(t *testing.T) {
	l := newLink(t)
	doorbell := l.ChildFiles()[3]
	if err := unix.SetNonblock(doorbell, false); err != nil {
		t.Fatal(err)
	}

	fill := reopened(t, doorbell, unix.O_WRONLY)
	for _, wait := range []func() error{l.Wait, l.WaitAlone} {
		for range 20 {
			full(t, fill)
			within(t, "a wait", func() {
				l.Kick()
				if err := wait(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// A wait must empty the doorbell, so that the worker can ring again.
func TestDoorbellIsEmptied(t *testing.T) {
	l := newLink(t)
	fill := reopened(t, l.ChildFiles()[3], unix.O_WRONLY)
	full(t, fill)
	within(t, "a wait", func() {
		if err := l.WaitAlone(); err != nil {
			t.Error(err)
		}
	})
	if n, err := unix.IoctlGetInt(fill, unix.TIOCINQ); n != 0 || err != nil {
		t.Errorf("%d bytes are left, %v", n, err)
	}
}

// A nudge must wake a worker even if another process has consumed the worker's wake-up.
func TestNudge(t *testing.T) {
	l := newLink(t)
	p := newPort(t, l)
	first := l.Stage(Chunk{Count: 1, Body: body([]byte("x"))})
	l.Publish()
	woken := make(chan error, 1)
	go func() {
		atomic.StoreUint32(l.mem.word32(offAsleep), 0) // rung, but another process read the byte
		n, err := unix.Read(p.sleep.fd, make([]byte, 1))
		if n != 1 && err == nil {
			err = io.EOF
		}
		woken <- err
	}()
	if err := l.Wake(); err != nil {
		t.Fatal(err)
	}

	within(t, "the nudge", func() {
		l.Nudge()
		if err := <-woken; err != nil {
			t.Error(err)
		}
	})

	if task, err := p.Next(); err != nil || task.Seq != first {
		t.Errorf("%+v, %v", task, err)
	}
}

// A kick must not use a pipe that the worker can read.
func TestKickIsNotStolen(t *testing.T) {
	l := newLink(t)
	thief := reopened(t, l.ChildFiles()[3], unix.O_RDONLY)
	stop := make(chan struct{})
	var thieves sync.WaitGroup
	thieves.Go(func() {
		for buf := make([]byte, 4096); ; {
			select {
			case <-stop:
				return
			default:
				_, _ = unix.Read(thief, buf)
			}
		}
	})

	for _, wait := range []func() error{l.Wait, l.WaitAlone} {
		for range 500 {
			var wg sync.WaitGroup
			wg.Go(func() { runtime.Gosched(); l.Kick() })
			within(t, "a kick", func() {
				if err := wait(); err != nil {
					t.Error(err)
				}
			})

			wg.Wait()
		}
	}
	close(stop)
	thieves.Wait()
}

// A task head that is not the end of a chunk must not wake WaitRoom, because its caller would
// otherwise spin.
func TestWrongHeadIsNoNews(t *testing.T) {
	l := newLink(t)
	l.Stage(Chunk{Count: 10, Body: body(make([][]byte, 10)...)})
	l.Publish()
	for _, head := range []uint64{1, l.taskTail - 1, l.taskTail + 8, math.MaxUint64} {
		l.mem.word64(offTaskHead).Store(head)
		l.Room()
		if l.passes() {
			t.Errorf("a head of %d of %d is news", head, l.taskTail)
		}
	}

	l.mem.word64(offTaskHead).Store(l.taskTail)
	if !l.passes() {
		t.Error("the end of the chunk is none")
	}
	within(t, "room", func() {
		if err := l.WaitRoom(); err != nil {
			t.Error(err)
		}
	})
}
