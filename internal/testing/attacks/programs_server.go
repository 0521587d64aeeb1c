//go:build linux

package attacks

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/segments"
	"github.com/go-multiprocessing/mp/internal/xsync"
	"github.com/go-multiprocessing/mp/ipc"
)

func lingerAtServer(ctx context.Context, v *victim) error {
	server, err := v.server(ctx)
	if err != nil {
		return err
	}
	fd, err := v.lingering()
	if err != nil {
		return err
	}

	const req = 1 << 20
	id := v.tag | 4711
	if err := tell(ctx, server, "publish", segments.RawMessage{ID: id, Req: req}, fd); err != nil {
		return err
	}
	if _, err := answerOf(ctx, server, req); err != nil {
		return err
	}
	_ = unix.Close(fd)
	if err := tell(ctx, server, "destroy", segments.RawMessage{ID: id}); err != nil {
		return err
	}
	return rest(ctx)
}

// tokenOf returns the handle of the object that the attacker was given.
func (v *victim) tokenOf(name string) (objects.Token, error) {
	kind, err := giftOf(name)
	if err != nil {
		return objects.Token{}, err
	}
	wire, err := kind.wire(&v.Given)
	if err != nil {
		return objects.Token{}, err
	}
	token, _, err := objects.ParseToken(wire, kind.kind)
	return token, err
}

// tokenAndServer is like tokenOf, and also returns the socket to the segment server.
func (v *victim) tokenAndServer(ctx context.Context, name string) (token objects.Token, server int, err error) {
	if token, err = v.tokenOf(name); err == nil {
		server, err = v.server(ctx)
	}
	return token, server, err
}

func destroyOthers(ctx context.Context, v *victim) error {
	token, server, err := v.tokenAndServer(ctx, "Mutex")
	if err != nil {
		return err
	}

	own, err := sparse(4096)
	if err != nil {
		return err
	}

	const req = 1 << 20
	id := v.tag | 4711
	// Destroy the segment directly, drop it, take it, and keep it in order to release it.
	for _, end := range []bool{false, true} {
		for op, m := range map[string]segments.RawMessage{
			"destroy": {ID: token.Segment}, "drop": {ID: token.Segment}, "take": {ID: token.Segment},
			"release": {ID: token.Segment, Size: id, OK: end},
		} {
			_ = tell(ctx, server, "publish", segments.RawMessage{ID: id, Size: 4096, Req: req}, own)
			_ = tell(ctx, server, "keep", segments.RawMessage{ID: token.Segment, Size: id, Req: req + 1})
			if err := tell(ctx, server, op, m); err != nil {
				return err
			}
		}
	}
	_ = tell(ctx, server, "fetch", segments.RawMessage{ID: token.Segment, Req: req + 2})
	// The answer shows that all earlier messages have been handled.
	_, err = answerOf(ctx, server, req+2)
	return err
}

// siblingLives checks an object that is in the same segment as the given object.
func siblingLives(ctx context.Context, w *world) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	here, err := w.sibling.Load(ctx)
	if err := check(here, siblingValue, err); err != nil {
		return fmt.Errorf("main, with an object in the segment of what was given: %w", err)
	}
	there, err := mp.Call(ctx, w.other, load, w.sibling)
	if err := check(there, siblingValue, err); err != nil {
		return fmt.Errorf("a worker, with an object in the segment of what was given: %w", err)
	}
	return nil
}

// adoptMany makes the server adopt processes that are not children: each is the root itself.
func adoptMany(ctx context.Context, v *victim) error {
	server, err := v.server(ctx)
	if err != nil {
		return err
	}
	parent, err := unix.PidfdOpen(os.Getppid(), 0)
	if err != nil {
		return err
	}

	const many = 600
	for i := range many {
		if _, err := haveAdopted(ctx, server, uint32(1<<20+i), parent); err != nil {
			break
		}
	}
	os.Exit(3)
	return nil
}

// haveAdopted asks the server to adopt the process of a pidfd, and closes that process's end of the
// socket.
func haveAdopted(ctx context.Context, server int, req uint32, pidfd int) (segments.RawMessage, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return segments.RawMessage{}, err
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	_ = tell(ctx, server, "adopt", segments.RawMessage{Req: req}, pair[1])
	if err := tell(ctx, server, "pidfd", segments.RawMessage{Req: req}, pidfd); err != nil {
		return segments.RawMessage{}, err
	}
	return answerOf(ctx, server, req)
}

// departAlive makes the server adopt children that have left the worker's process group, and claims
// that each of them has departed.
func departAlive(ctx context.Context, v *victim) error {
	server, err := v.server(ctx)
	if err != nil {
		return err
	}

	const many = 100
	for i := range many {
		child := exec.Command("sleep", "1000")
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := child.Start(); err != nil {
			return err
		}

		pidfd, err := unix.PidfdOpen(child.Process.Pid, 0)
		if err != nil {
			return err
		}
		m, err := haveAdopted(ctx, server, uint32(1<<20+i), pidfd)
		_ = unix.Close(pidfd)
		if err != nil || !m.OK { // the server does not kill a process that it has not adopted
			_ = child.Process.Kill()
			break
		}
		if err := tell(ctx, server, "depart", segments.RawMessage{ID: m.ID}); err != nil {
			return err
		}
	}
	os.Exit(3)
	return nil
}

// publishMany publishes segments until the server accepts no more, and keeps them as long as it
// may.
func publishMany(ctx context.Context, v *victim) error {
	server, err := v.server(ctx)
	if err != nil {
		return err
	}
	exhaust(func(id uint64, fd int, req uint32) (segments.RawMessage, error) {
		if err := tell(ctx, server, "publish", segments.RawMessage{ID: id, Size: 4096, Req: req}, fd); err != nil {
			return segments.RawMessage{}, err
		}
		return answerOf(ctx, server, req)
	}, v.tag)
	<-ctx.Done()
	return ctx.Err()
}

// newPoolStartsBeside waits until the attacker has taken all that it can get, and checks that other
// processes still get something.
func newPoolStartsBeside(ctx context.Context, w *world) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for last, same := 0, 0; same < 5; {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			w.fault("the attacker still takes descriptors")
			return
		}

		n := used().descriptors
		if n <= last && n > w.before.descriptors+DefaultDescriptors {
			same++
		} else {
			same = 0
		}
		last = max(last, n)
	}
	if err := newPoolStarts(context.WithoutCancel(ctx), w); err != nil {
		w.fault("while the attacker has its share: %v", err)
	}
}

// keepMany keeps as many of the attacker's own segments as the server accepts for messages in
// main's queue, so that the segments outlive the attacker.
func keepMany(ctx context.Context, v *victim) error {
	token, server, err := v.tokenAndServer(ctx, "Queue")
	if err != nil {
		return err
	}
	exhaust(func(id uint64, fd int, req uint32) (segments.RawMessage, error) {
		err := tell(ctx, server, "publish", segments.RawMessage{ID: id, Size: 4096, Req: 1 << 30}, fd)
		if err == nil {
			err = tell(ctx, server, "keep", segments.RawMessage{ID: id, Size: token.Segment, Req: req})
		}

		if err != nil {
			return segments.RawMessage{}, err
		}
		return answerOf(ctx, server, req)
	}, v.tag)
	os.Exit(3)
	return nil
}

// exhaust calls ask with new segments, whose numbers begin with tag, until a request is refused.
func exhaust(ask func(id uint64, fd int, req uint32) (segments.RawMessage, error), tag uint64) {
	const many = 20000
	for i := range many {
		fd, err := sparse(4096)
		if err != nil {
			return
		}
		m, err := ask(tag+uint64(i)+1, fd, uint32(1<<20+i))
		_ = unix.Close(fd)
		if err != nil || !m.OK {
			return
		}
	}
}

// littleIsLeft waits until the dead attacker uses no more of the server's budget than an eighth of
// all descriptors.
func littleIsLeft(ctx context.Context, w *world) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	most := w.before.descriptors + DefaultDescriptors + Files/8
	for n := used().descriptors; n > most; n = used().descriptors {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%d descriptors, %d before the attack, when the attacker is dead: there may be %d", n, w.before.descriptors, most)
		}
	}
	return newPoolStarts(ctx, w)
}

// newPoolStarts checks that a new pool can still share objects.
func newPoolStarts(ctx context.Context, w *world) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 1, Env: quickExit, Output: quiet})
	if err != nil {
		return err
	}
	defer pool.Close()
	n, err := mp.Call(ctx, pool, load, w.sibling)
	if err := check(n, siblingValue, err); err != nil {
		return err
	}
	m, err := mp.Call(ctx, pool, newMutex, 0)
	if err != nil {
		return fmt.Errorf("a new worker shares an object of its own: %w", err)
	}

	return m.Close()
}

// newMutex is a task that shares a new object of its worker.
var newMutex = mp.Register("newMutex", func(context.Context, int) (*ipc.Mutex, error) { return ipc.NewMutex() })

// spill puts into the queue a record which claims that the element is in a sparse file.
func spill(ctx context.Context, v *victim, size int64) error {
	token, server, err := v.tokenAndServer(ctx, "Queue")
	if err != nil {
		return err
	}
	fd, err := sparse(size)
	if err != nil {
		return err
	}

	const req = 1 << 20
	id := v.tag | 4711
	_ = tell(ctx, server, "publish", segments.RawMessage{ID: id, Size: uint64(size), Req: req}, fd)
	_ = tell(ctx, server, "keep", segments.RawMessage{ID: id, Size: token.Segment, Req: req + 1})
	if _, err := answerOf(ctx, server, req+1); err != nil {
		return err
	}

	mem, off, err := place(token)
	if err != nil {
		return err
	}
	ring := mem[off:][:token.Size]
	for range 8 { // main is not the only process that takes elements
		xsync.PutElsewhere(ring[:xsync.RingSize], ring[xsync.RingSize:], id, uint64(size))
	}
	return nil
}
