//go:build linux

package attacks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/go-multiprocessing/mp/internal/inside"
	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/xsync"
	"github.com/go-multiprocessing/mp/manager"
)

// holdManagerLocks marks the locks of the pipe to the manager as held by a process that does not
// exist.
func holdManagerLocks(ctx context.Context, v *victim) error {
	if err := v.Dict.Set(ctx, "x", 1); err != nil {
		return err
	}
	pipes, err := pipesHere()
	if err != nil {
		return err
	}

	const nobody = 999
	for _, mem := range pipes {
		for _, off := range xsync.PipeLocks() {
			shm.Word64(mem, off).Or(nobody)
		}
	}
	c, cancel := context.WithTimeout(ctx, DefaultTimeout/4)
	defer cancel()
	_ = v.Dict.Set(c, "x", 2)
	os.Exit(3)
	return nil
}

// far returns a remote client's connection to the manager.
func (v *victim) far(ctx context.Context) (*manager.Manager, error) {
	return manager.Dial(ctx, "tcp", v.Manager, peers())
}

func longNames(ctx context.Context, v *victim) error {
	m, err := v.far(ctx)
	if err != nil {
		return err
	}
	const many = 600
	for i := range many {
		name := fmt.Sprint(i, strings.Repeat("x", 1<<20))
		if _, err := manager.NewEvent(ctx, m, manager.Named(name)); err != nil {
			return err
		}
	}
	return nil
}

// block blocks until its context ends, and keeps its argument meanwhile.
var block = manager.Function("block", func(ctx context.Context, old int, _ []byte) (int, error) {
	<-ctx.Done()
	return old, ctx.Err()
})

func waitingCalls(ctx context.Context, v *victim) error {
	m, err := v.far(ctx)
	if err != nil {
		return err
	}
	d, err := manager.NewDict[string, int](ctx, m)
	if err != nil {
		return err
	}
	const many, fit = 100, managerBytes >> 20
	answers, arg := make(chan error, many), make([]byte, 1<<20)
	for range many {
		go func() {
			_, err := manager.Update(ctx, d, "k", block, arg)
			answers <- err
		}()
	}

	for range many - fit {
		if err := <-answers; !errors.Is(err, manager.ErrLimit) {
			return fmt.Errorf("one of %d calls that wait, with room for %d: %w", many, fit, err)
		}
	}
	return nil
}

// guessObjects clears objects of other processes, by trying all small numbers except its own
// object's.
func guessObjects(ctx context.Context, v *victim) error {
	c, err := v.asLocal(ctx)
	if err != nil {
		return err
	}
	wire, err := v.Dict.MarshalBinary()
	if err != nil {
		return err
	}

	own := inside.Manager.Object(wire)
	for object := range uint64(16) {
		var b []byte
		if object != own {
			b = inside.Manager.Request(uint32(object), inside.Manager.ClearDict, object, nil)
		}
		if err := c.SendBytes(ctx, b); err != nil {
			return err
		}
	}
	return rest(ctx)
}

// managerIsSmall checks how much memory the manager's process has used.
func managerIsSmall(_ context.Context, w *world) error {
	if mib := status(fmt.Sprint(w.manager.PID()), "VmHWM") >> 10; mib > DefaultMemory*raceFactor {
		return fmt.Errorf("the manager, with Limits.Bytes of %d MiB, has taken %d MiB", managerBytes>>20, mib)
	}
	return nil
}

// silence keeps as many connections open as the listener allows.
func silence(ctx context.Context, v *victim) error {
	dialer := net.Dialer{}
	const many = 1024
	for range many {
		go func() {
			for ctx.Err() == nil {
				c, err := dialer.DialContext(ctx, "tcp", v.Peer)
				if err != nil {
					continue
				}
				stop := context.AfterFunc(ctx, func() { _ = c.Close() })
				_, _ = io.Copy(io.Discard, c) // until the other side closes it
				stop()
				_ = c.Close()
			}
		}()
	}

	return rest(ctx)
}
