//go:build linux

package attacks

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
)

// holders are children of attackers that outlive them and keep descriptors open. A holder ends when
// its row ends, because that closes the holder's connection to the attacked program.
type holders struct {
	l    net.Listener
	done sync.WaitGroup

	first chan struct{} // closed when the first holder has reported

	mu    sync.Mutex
	over  bool
	conns []net.Conn
}

// holdVar is the environment variable that gives a holder the address of its row.
const holdVar = "MP_ATTACKS_HOLD"

var held atomic.Int64

func newHolders() (*holders, error) {
	l, err := net.Listen("unix", fmt.Sprintf("@mp-attacks-%d-%d", os.Getpid(), held.Add(1)))
	if err != nil {
		return nil, err
	}
	h := &holders{l: l, first: make(chan struct{})}
	h.done.Go(func() {
		reported := sync.OnceFunc(func() { close(h.first) })
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			if h.over {
				_ = c.Close()
			} else {
				h.conns = append(h.conns, c)
			}
			h.mu.Unlock()
			reported()
		}
	})

	return h, nil
}

func (h *holders) address() string { return h.l.Addr().String() }

// close ends all holders.
func (h *holders) close() {
	_ = h.l.Close()
	h.mu.Lock()
	h.over = true
	for _, c := range h.conns {
		_ = c.Close()
	}
	h.mu.Unlock()
	h.done.Wait()
}

// Hold is the main function of a holder. In other processes it returns at once.
func Hold() {
	address := os.Getenv(holdVar)
	if address == "" {
		return
	}
	c, err := net.Dial("unix", address)
	if err == nil {
		_, _ = io.Copy(io.Discard, c)
	}
	os.Exit(0)
}

// A silentPeer accepts TCP connections and reads nothing from them.
type silentPeer struct {
	l    net.Listener
	done sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

func newSilentPeer() (*silentPeer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &silentPeer{l: l}
	p.done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.conns = append(p.conns, c)
			p.mu.Unlock()
		}
	})

	return p, nil
}

func (p *silentPeer) port() int { return p.l.Addr().(*net.TCPAddr).Port }

func (p *silentPeer) close() {
	_ = p.l.Close()
	p.done.Wait()
	for _, c := range p.conns {
		_ = c.Close()
	}
}
