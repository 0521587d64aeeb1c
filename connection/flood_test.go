package connection_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"sync"
	"testing"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/connection"
	"github.com/go-multiprocessing/mp/mptest"
)

// flood keeps n connections to a listener open until the context ends. It runs say on each
// connection, and replaces each connection that the listener closes.
func (s *shop) flood(ctx context.Context, n int, say func(c net.Conn)) (over *sync.WaitGroup) {
	over = &sync.WaitGroup{}
	for range n {
		over.Go(func() {
			for ctx.Err() == nil {
				c, err := (&net.Dialer{}).DialContext(ctx, s.Addr().Network(), s.Addr().String())
				if err != nil {
					continue
				}
				stop := context.AfterFunc(ctx, func() { _ = c.Close() })
				say(c)
				for b := make([]byte, 1000); err == nil; {
					_, err = c.Read(b)
				}
				stop()
				_ = c.Close()
			}
		})
	}

	return over
}

// Peers that do not know the key cannot keep out peers that do, however many there are and whatever
// they send, and they do not fill the log.
func TestFlood(t *testing.T) {
	for name, say := range map[string]func(c net.Conn){
		"silent": func(net.Conn) {},
		"half":   func(c net.Conn) { _, _ = c.Write([]byte("mp-conn\x01\x01")) },
		"noise":  func(c net.Conn) { _, _ = c.Write(make([]byte, 500)) },
	} {
		t.Run(name, func(t *testing.T) {
			mptest.NoLeaks(t)
			s := open(t, "tcp", "127.0.0.1:0", connection.Config{Key: key, MaxHandshakes: 32, MaxConns: 4})
			ctx, cancel := context.WithCancel(t.Context())
			over := s.flood(ctx, 40, say)
			until(t, "the flood is refused", func() bool { return s.log.count("was refused") >= 20 })
			for range 5 {
				s.works(t)
			}

			cancel()
			over.Wait()
			_ = s.Close()
			if n := s.log.count("was refused"); n > 300 { // a hundred per interval
				t.Error(n, "lines in the log")
			}
		})
	}
}

// Every refusal is either logged on a line of its own, or counted in a line that gives a number.
func TestRefusalsAreCounted(t *testing.T) {
	s := open(t, "unix", fmt.Sprintf("@mp-refused-%p", t), connection.Config{Key: key})
	const many = 150
	for range many {
		c := s.raw(t)
		if _, err := c.Write(make([]byte, 500)); err != nil {
			t.Fatal(err)
		}
		for b, err := make([]byte, 1000), error(nil); err == nil; {
			_, err = c.Read(b)
		}
	}

	_ = s.Close()
	counted := 0
	for _, m := range regexp.MustCompile(`more connections were refused.*count=(\d+)`).FindAllStringSubmatch(s.log.all(), -1) {
		n, _ := strconv.Atoi(m[1])
		counted += n
	}

	if lines := s.log.count("was refused"); lines+counted != many || counted == 0 {
		t.Errorf("%d lines, and %d were counted, of %d", lines, counted, many)
	}
}

// MaxConns applies to peers that know the key. A peer above the limit gets ErrTooMany.
func TestTooMany(t *testing.T) {
	mptest.NoLeaks(t)
	s := open(t, "tcp", "127.0.0.1:0", connection.Config{Key: key, MaxConns: 2})
	for range 20 { // unfinished handshakes do not count as connections
		s.raw(t)
	}

	first, second := s.dial(t), s.dial(t)
	a, b := s.accept(t), s.accept(t)
	for range 3 {
		if _, err := connection.Dial[order](t.Context(), "tcp", s.Addr().String(), s.cfg); !errors.Is(err, connection.ErrTooMany) {
			t.Error(err)
		}
	}

	if _, err := connection.Dial[order](t.Context(), "tcp", s.Addr().String(), connection.Config{Key: []byte("another key of such length")}); !errors.Is(err, connection.ErrAuthentication) {
		t.Error("a peer that does not know the key was told more: ", err)
	}
	_, _ = first.Close(), a.Close()
	s.works(t)
	_, _, _ = second.Close(), b.Close(), s.Close()
}

// Close returns even if some connections have not been accepted and some handshakes are waiting for
// a place.
func TestCloseDuringFlood(t *testing.T) {
	mptest.NoLeaks(t)
	s := open(t, "tcp", "127.0.0.1:0", connection.Config{Key: key, MaxHandshakes: 2})
	_ = s.dial(t)
	ctx, cancel := context.WithCancel(t.Context())
	over := s.flood(ctx, 20, func(net.Conn) {})
	until(t, "the flood is refused", func() bool { return s.log.count("was refused") >= 2 })
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	cancel()
	over.Wait()
	if _, err := s.Accept(t.Context()); !errors.Is(err, mp.ErrClosed) {
		t.Error(err)
	}
}
