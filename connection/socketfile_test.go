//go:build unix

package connection_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/go-multiprocessing/mp/connection"
	"github.com/go-multiprocessing/mp/mptest"
)

// leave makes a socket on which no process listens, as a killed process leaves it.
func leave(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// A socket that a killed process has left behind is replaced. A socket on which a process listens
// is not replaced, and neither is a file that is not a socket.
func TestStaleSocket(t *testing.T) {
	mptest.NoLeaks(t)
	path := filepath.Join(t.TempDir(), "socket")
	leave(t, path)
	s := open(t, "unix", path, connection.Config{Key: key})
	s.works(t)
	if l, err := connection.Listen[order]("unix", path, connection.Config{Key: key}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a second listener: %v, %v", l, err)
	}

	s.works(t)
	if err := s.Close(); err != nil {
		t.Error(err)
	}

	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("after Close: %v", err)
	}
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := connection.Listen[order]("unix", path, connection.Config{Key: key}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Error("in place of a file: ", err)
	}
	if b, err := os.ReadFile(path); string(b) != "mine" {
		t.Errorf("%q, %v", b, err)
	}
}

// If several listeners find the same stale socket, one of them replaces it, and the others do not
// replace the new socket.
func TestStaleSocketOfMany(t *testing.T) {
	mptest.NoLeaks(t)
	path := filepath.Join(t.TempDir(), "socket")
	cfg := connection.Config{Key: key, Logger: (&journal{}).logger()} // logs isStale's connections
	for range 20 {
		leave(t, path)
		var mu sync.Mutex
		var won []*connection.Listener[order]
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				l, err := connection.Listen[order]("unix", path, cfg)
				if err != nil {
					if !errors.Is(err, syscall.EADDRINUSE) {
						t.Error(err)
					}
					return
				}
				mu.Lock()
				defer mu.Unlock()
				won = append(won, l)
			})
		}

		all.Wait()
		if len(won) != 1 {
			t.Fatalf("%d listen", len(won))
		}

		c, err := connection.Dial[order](t.Context(), "unix", path, connection.Config{Key: key})
		if err != nil {
			t.Fatal(err)
		}

		if err := errors.Join(c.Close(), won[0].Close()); err != nil {
			t.Error(err)
		}
	}
}

// Close does not remove another listener's file.
func TestSocketOfAnother(t *testing.T) {
	mptest.NoLeaks(t)
	path := filepath.Join(t.TempDir(), "socket")
	old := open(t, "unix", path, connection.Config{Key: key})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s := open(t, "unix", path, connection.Config{Key: key})
	if err := old.Close(); err != nil {
		t.Error(err)
	}
	s.works(t)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
