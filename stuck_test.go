//go:build linux

package mp_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp"
)

var touch = mp.Register("touch", func(_ context.Context, file string) (int, error) {
	return 1, os.WriteFile(file, []byte("x"), 0o600)
})

// hang mounts a file system whose server reads requests and answers none. A process that uses it
// waits in the kernel, where SIGKILL does not end it. hang returns a file on it, a channel that
// reports a waiting process, and a function that ends the server.
func hang(t *testing.T) (file string, caught <-chan struct{}, release func()) {
	t.Helper()
	file, caught, release, err := tryHang(t)
	if err != nil {
		if os.Getenv("MP_REQUIRE_FUSE") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return file, caught, release
}

// tryHang is like hang but returns an error if mounting is not possible.
func tryHang(t *testing.T) (file string, caught <-chan struct{}, release func(), err error) {
	t.Helper()
	// A request can be withdrawn between poll and read, when its caller is killed: read must not
	// block.
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", nil, nil, fmt.Errorf("it needs /dev/fuse: %w", err)
	}

	dir := t.TempDir()
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d", fd, os.Getuid(), os.Getgid())
	if err := unix.Mount("mp-hang", dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		_ = unix.Close(fd)
		return "", nil, nil, fmt.Errorf("it needs the right to mount: %w", err)
	}

	served, waits := make(chan struct{}), make(chan struct{}, 1)
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(served)
		serveHanging(fd, stop, waits)
	}()

	released := false
	release = func() {
		if released {
			return
		}
		released = true
		_, _ = unix.Write(stop, binary.NativeEndian.AppendUint64(nil, 1))
		<-served
		_ = unix.Unmount(dir, unix.MNT_DETACH)
		_ = unix.Close(fd) // all waiting processes go on, with an error
		_ = unix.Close(stop)
	}
	t.Cleanup(release)
	return filepath.Join(dir, "file"), waits, release, nil
}

// serveHanging answers the requests of a mount until stop becomes readable. It reports each request
// that it does not answer to waits.
func serveHanging(fd, stop int, waits chan<- struct{}) {
	const opInit, opGetattr, headIn, headOut = 26, 3, 40, 16
	buf := make([]byte, 1<<20)
	for {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(stop), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) || fds[1].Revents != 0 {
			return
		}
		if fds[0].Revents == 0 {
			continue
		}

		n, err := unix.Read(fd, buf)
		if err != nil || n < headIn {
			continue
		}

		op, unique, node := binary.NativeEndian.Uint32(buf[4:]), buf[8:16], binary.NativeEndian.Uint64(buf[16:])
		var out []byte
		switch {
		case op == opInit:
			out = make([]byte, 64)
			binary.NativeEndian.PutUint32(out, 7)
			binary.NativeEndian.PutUint32(out[4:], min(31, binary.NativeEndian.Uint32(buf[headIn+4:])))
			binary.NativeEndian.PutUint32(out[8:], 64<<10)  // max_readahead
			binary.NativeEndian.PutUint32(out[20:], 64<<10) // max_write
		case op == opGetattr && node == 1:
			out = make([]byte, 16+88)
			binary.NativeEndian.PutUint64(out, 60)               // validity in seconds
			binary.NativeEndian.PutUint64(out[16:], 1)           // ino
			binary.NativeEndian.PutUint32(out[16+60:], 0o040755) // mode
			binary.NativeEndian.PutUint32(out[16+64:], 2)        // nlink
		default:
			select {
			case waits <- struct{}{}:
			default:
			}
			continue
		}

		head := binary.NativeEndian.AppendUint32(nil, uint32(headOut+len(out)))
		head = binary.NativeEndian.AppendUint32(head, 0)
		_, _ = unix.Write(fd, append(append(head, unique...), out...))
	}
}

// within fails unless f returns in time.
func within(t *testing.T, limit time.Duration, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(limit):
		t.Fatalf("%s has not returned for %v", what, limit)
	}
}

// gone waits until a process has ended.
func gone(t *testing.T, pid int) {
	t.Helper()
	until(t, "the process ends", func() bool {
		_, err := os.Stat("/proc/" + strconv.Itoa(pid))
		return err != nil
	})
}

// A worker that SIGKILL does not end costs its task and some seconds. Its slot gets another worker,
// and Close names it.
func TestStuckInKernel(t *testing.T) {
	file, _, release := hang(t)
	for _, workers := range []int{1, 2} {
		t.Run(fmt.Sprint(workers), func(t *testing.T) {
			pool, err := mp.NewPool(mp.PoolConfig{Workers: workers})
			if err != nil {
				t.Fatal(err)
			}
			if err := pool.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}

			pids := map[int]bool{}
			for _, w := range pool.Workers() {
				pids[w.PID] = true
			}

			var dead *mp.WorkerError
			within(t, never, "a Call with a deadline", func() {
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				_, err := mp.Call(ctx, pool, touch, file)
				if !errors.As(err, &dead) || dead.Reason != mp.ReasonDeadline || !strings.Contains(err.Error(), "has not ended it") {
					t.Errorf("Call: %v", err)
				}
			})
			if dead == nil {
				t.FailNow()
			}
			within(t, never, "the next Call", func() {
				if n, err := mp.Call(t.Context(), pool, square, 3); n != 9 || err != nil {
					t.Error(n, err)
				}
			})
			until(t, "all places are filled", func() bool { return pool.Stats().Serving == workers })
			within(t, never, "Close", func() {
				if err := pool.Close(); err == nil || !strings.Contains(err.Error(), fmt.Sprint("process ", dead.PID)) {
					t.Errorf("Close: %v", err)
				}
			})
			within(t, never, "Close again", func() { _ = pool.Close() })
		})
	}

	release()
}

// Shutdown and Close return even while a worker is stuck.
func TestStuckAtTheEnd(t *testing.T) {
	for name, end := range map[string]func(*mp.Pool) error{
		"Close": (*mp.Pool).Close,
		"Shutdown": func(p *mp.Pool) error {
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			defer cancel()
			return p.Shutdown(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			file, caught, release := hang(t)
			pool, err := mp.NewPool(mp.PoolConfig{Workers: 2})
			if err != nil {
				t.Fatal(err)
			}

			f := mp.Submit(t.Context(), pool, touch, file)
			<-caught
			var pid int
			for _, w := range pool.Workers() {
				if w.State == mp.WorkerBusy {
					pid = w.PID
				}
			}

			within(t, never, name, func() {
				err := end(pool)
				if err == nil || !strings.Contains(err.Error(), fmt.Sprint("process ", pid)) || name == "Shutdown" && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s: %v", name, err)
				}
			})

			within(t, never, "the task", func() {
				if _, err := f.Result(t.Context()); err == nil {
					t.Error("the task has succeeded")
				}
			})
			release()
			gone(t, pid)
			until(t, "nothing is left", func() bool { return pool.Close() == nil })
		})
	}
}

// Wait returns for a Process that is stuck.
func TestStuckProcess(t *testing.T) {
	file, caught, release := hang(t)
	p, err := mp.NewProcess(touch, file, mp.ProcessConfig{})
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		t.Fatal(err)
	}

	<-caught
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}

	within(t, never, "Wait", func() {
		var dead *mp.WorkerError
		if _, err := p.Wait(t.Context()); !errors.As(err, &dead) || dead.Signal == 0 {
			t.Errorf("Wait: %v", err)
		}
	})
	if err := p.Close(); err == nil || !strings.Contains(err.Error(), fmt.Sprint("process ", p.PID())) {
		t.Errorf("Close: %v", err)
	}
	release()
	gone(t, p.PID())
}

// Each stuck worker is replaced, but only up to a limit, because the cause may affect all workers.
// The pool serves again when the stuck workers have ended.
func TestManyStuck(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for two rounds of stuck workers")
	}

	file, _, release := hang(t)
	const workers, most = 4, 8 // the limit is twice the number of workers
	pool, err := mp.NewPool(mp.PoolConfig{Workers: workers, Restart: mp.Restart{Backoff: 10 * time.Millisecond, MaxBackoff: 100 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range mp.Stream(ctx, pool, touch, slices.Values(slices.Repeat([]string{file}, 100)), mp.Timeout(100*time.Millisecond)) {
		}
	}()

	until(t, "the pool tells why it starts no more", func() bool {
		for _, f := range pool.Stats().Failing {
			if strings.Contains(f.Why, fmt.Sprint(most, " processes were killed and have not ended")) {
				return true
			}
		}
		return false
	})
	release()
	cancel()
	<-ended
	if n, err := mp.Call(t.Context(), pool, square, 3); n != 9 || err != nil {
		t.Error(n, err)
	}
	until(t, "all slots are filled", func() bool { return pool.Stats().Serving == workers })
	until(t, "nothing is left", func() bool { return pool.Close() == nil })
}
