package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/flipcall"
)

// This peer is gVisor's flipcall: two processes pass a word of shared memory to each other, one
// call at a time.

const (
	flipcallRole   = "flipcall"
	flipcallWindow = 1 << 16
	flipcallBytes  = 8 // of a message
	askPID         = -1
)

func flipcallWindowAt(fd int) flipcall.PacketWindowDescriptor {
	return flipcall.PacketWindowDescriptor{FD: fd, Length: flipcallWindow}
}

func serveFlipcall() error {
	e, err := flipcall.NewEndpoint(flipcall.ServerSide, flipcallWindowAt(roleFD))
	if err != nil {
		return err
	}
	data := e.Data()
	for _, err = e.RecvFirst(); err == nil; _, err = e.SendRecv(flipcallBytes) {
		n := getInt(data)
		if n == askPID {
			putInt(data, os.Getpid())
			continue
		}
		putInt(data, n*n)
	}
	return nil // the other side has shut down
}

func getInt(b []byte) int    { return int(binary.LittleEndian.Uint64(b)) }
func putInt(b []byte, n int) { binary.LittleEndian.PutUint64(b, uint64(n)) }

// A flipcaller is the calling side.
type flipcaller struct {
	end  *flipcall.Endpoint
	data []byte
	cmd  *exec.Cmd
	gone chan struct{}
}

func startFlipcall() (*flipcaller, error) {
	fd, err := unix.MemfdCreate("flipcall", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}

	window := os.NewFile(uintptr(fd), "window")
	defer window.Close()
	if err := window.Truncate(flipcallWindow); err != nil {
		return nil, err
	}

	end, err := flipcall.NewEndpoint(flipcall.ClientSide, flipcallWindowAt(fd))
	if err != nil {
		return nil, err
	}
	cmd, err := roleCommand(flipcallRole, window)
	if err == nil {
		cmd.Stderr = os.Stderr
		err = cmd.Start()
	}
	if err != nil {
		end.Destroy()
		return nil, err
	}
	f := &flipcaller{end, end.Data(), cmd, make(chan struct{})}
	go f.watch()
	if err := end.Connect(); err != nil {
		f.close()
		return nil, err
	}

	return f, nil
}

// watch ends a caller's wait when the other process dies.
func (f *flipcaller) watch() {
	_ = f.cmd.Wait()
	f.end.Shutdown()
	close(f.gone)
}

func (f *flipcaller) call(n int) (int, error) {
	putInt(f.data, n)
	if _, err := f.end.SendRecv(flipcallBytes); err != nil {
		return 0, err
	}
	return getInt(f.data), nil
}

func (f *flipcaller) close() {
	f.end.Shutdown()
	<-f.gone
	f.end.Destroy()
}

// onFlipcall returns an opener for a side that is measured on flipcall.
func onFlipcall(round func(b *bench, square func(int) (int, error)) (float64, error)) opener {
	return func(_ context.Context, b *bench) (side, error) {
		f, err := startFlipcall()
		if err != nil {
			return side{}, err
		}
		pid, err := f.call(askPID)
		if err == nil {
			err = elsewhere(pid)
		}
		if err != nil {
			f.close()
			return side{}, err
		}
		return side{round: func() (float64, error) { return round(b, f.call) }, close: f.close}, nil
	}
}
