package connection_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/connection"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/mptest"
)

func TestMain(m *testing.M) { mptest.Main(m) }

var key = []byte("what both sides know")

// journal records what is logged.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) count(what string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.text.String(), what)
}

func (j *journal) all() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

// shop is a listener and its log.
type shop struct {
	*connection.Listener[order]
	log *journal
	cfg connection.Config
}

type order struct {
	Item string
	Many []int
}

func open(t testing.TB, network, address string, cfg connection.Config) *shop {
	t.Helper()
	s := &shop{log: &journal{}, cfg: cfg}
	cfg.Logger = s.log.logger()
	l, err := connection.Listen[order](network, address, cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.Listener = l
	t.Cleanup(func() { _ = l.Close() })
	return s
}

func (s *shop) dial(t testing.TB) *ipc.Conn[order] {
	t.Helper()
	c, err := connection.Dial[order](t.Context(), s.Addr().Network(), s.Addr().String(), s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// raw returns a connection on which the test can send anything.
func (s *shop) raw(t testing.TB) net.Conn {
	t.Helper()
	c, err := net.Dial(s.Addr().Network(), s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func (s *shop) accept(t testing.TB) *ipc.Conn[order] {
	t.Helper()
	c, err := s.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// works checks that an honest client is served.
func (s *shop) works(t testing.TB) {
	t.Helper()
	c := s.dial(t)
	a := s.accept(t)
	if err := c.Send(t.Context(), order{Item: "still"}); err != nil {
		t.Fatal(err)
	}
	if o, err := a.Recv(t.Context()); o.Item != "still" || err != nil {
		t.Fatal(o, err)
	}
	_, _ = c.Close(), a.Close()
}

// N24 N1 N7 N13 N25: values and bytes pass both ways on each network, until the end of the
// connection.
func TestNetworks(t *testing.T) {
	for name, address := range map[string][2]string{
		"unix": {"unix", filepath.Join(t.TempDir(), "socket")}, "abstract": {"unix", fmt.Sprintf("@mp-test-%p", t)}, "tcp": {"tcp", "127.0.0.1:0"},
	} {
		t.Run(name, func(t *testing.T) {
			mptest.NoLeaks(t)
			ctx := t.Context()
			s := open(t, address[0], address[1], connection.Config{Key: key})
			c := s.dial(t)
			for i := range 100 {
				if err := c.Send(ctx, order{Item: "nails", Many: []int{i}}); err != nil {
					t.Fatal(err)
				}
			}

			if err := c.SendBytes(ctx, bytes.Repeat([]byte("x"), 50_000)); err != nil {
				t.Fatal(err)
			}

			_ = c.Close() // before the listener accepts it
			a := s.accept(t)
			for i := range 100 {
				if o, err := a.Recv(ctx); err != nil || o.Item != "nails" || o.Many[0] != i {
					t.Fatal(o, err)
				}
			}

			if b, err := a.RecvBytes(ctx); len(b) != 50_000 || err != nil {
				t.Fatal(len(b), err)
			}

			for range 2 {
				if _, err := a.Recv(ctx); !errors.Is(err, io.EOF) {
					t.Error(err)
				}
			}
			if _, err := c.Recv(ctx); !errors.Is(err, mp.ErrClosed) {
				t.Error(err)
			}
			_, _ = a.Close(), s.Close()
		})
	}
}

// N22 N23: an address in use, a closed listener and bad configs are errors.
func TestListen(t *testing.T) {
	s := open(t, "tcp", "127.0.0.1:0", connection.Config{Key: key})
	if _, err := connection.Listen[order]("tcp", s.Addr().String(), s.cfg); err == nil {
		t.Error("bound twice")
	}

	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := s.Accept(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	waits := make(chan error)
	go func() { _, err := s.Accept(t.Context()); waits <- err }()
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}

	for _, err := range []error{<-waits, acceptErr(t, s)} {
		if !errors.Is(err, mp.ErrClosed) {
			t.Error(err)
		}
	}

	for field, cfg := range map[string]connection.Config{
		"Anybody": {}, "MaxMessage": {Key: key, MaxMessage: -1}, "MaxConns": {Key: key, MaxConns: -1}, "MaxHandshakes": {Key: key, MaxHandshakes: -1},
		"15 bytes": {Key: key[:15]}, "HandshakeTimeout": {Key: key, HandshakeTimeout: -1},
	} {
		_, err := connection.Listen[order]("tcp", "127.0.0.1:0", cfg)
		_, err2 := connection.Dial[order](t.Context(), "tcp", "127.0.0.1:1", cfg)
		for _, err := range []error{err, err2} {
			if err == nil || !strings.Contains(err.Error(), field) {
				t.Error(field, err)
			}
		}
	}

	if _, err := connection.Listen[order]("udp", "127.0.0.1:0", connection.Config{Key: key}); err == nil {
		t.Error("udp")
	}
	if _, err := connection.Listen[func()]("tcp", "127.0.0.1:0", connection.Config{Key: key}); err == nil {
		t.Error("functions")
	}
}

func acceptErr(t *testing.T, s *shop) error {
	_, err := s.Accept(t.Context())
	return err
}

// N27: if a peer does not know the key, the peer gets an error, the listener logs an error, and the
// listener goes on.
func TestWrongKey(t *testing.T) {
	mptest.NoLeaks(t)
	s := open(t, "tcp", "127.0.0.1:0", connection.Config{Key: key})
	for range 3 {
		_, err := connection.Dial[order](t.Context(), "tcp", s.Addr().String(), connection.Config{Key: []byte("another key of such length")})
		if !errors.Is(err, connection.ErrAuthentication) {
			t.Error(err)
		}
	}

	if _, err := connection.Dial[order](t.Context(), "tcp", s.Addr().String(), connection.Config{Anybody: true}); err == nil {
		t.Error("without a key")
	}

	if _, err := connection.Dial[int](t.Context(), "tcp", s.Addr().String(), s.cfg); err == nil || !strings.Contains(err.Error(), "another type") {
		t.Error(err)
	}
	s.works(t)
	until(t, "three refused", func() bool { return s.log.count("does not know the key") == 3 })
	_ = s.Close()
}

func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("in vain: ", what)
		}
	}
}

// For each peer that misbehaves before it is authenticated, one line is logged. Other peers are
// served meanwhile.
func TestHostilePeers(t *testing.T) {
	mptest.NoLeaks(t)
	s := open(t, "tcp", "127.0.0.1:0", connection.Config{Key: key, HandshakeTimeout: 300 * time.Millisecond, MaxConns: 64})
	ways := map[string]func(c net.Conn){
		"leaves at once": func(c net.Conn) { _ = c.Close() },
		"says nothing":   func(net.Conn) {},
		"a browser": func(c net.Conn) {
			fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", strings.Repeat("Cookie: x\r\n", 100))
		},
		"half":           func(c net.Conn) { fmt.Fprint(c, "mp-conn\x01\x01"); _ = c.Close() },
		"half and waits": func(c net.Conn) { fmt.Fprint(c, "mp-conn\x01\x01") },
		"zeros":          func(c net.Conn) { _, _ = c.Write(make([]byte, 1<<16)) },
		"one by one": func(c net.Conn) {
			for range 10_000 {
				if _, err := c.Write([]byte{1}); err != nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		},
		"never reads": func(c net.Conn) {
			for {
				if _, err := c.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		},
	}

	const each = 5
	var all sync.WaitGroup
	for _, way := range ways {
		for range each {
			c := s.raw(t)
			all.Go(func() { way(c) })
		}
	}

	s.works(t) // while they misbehave
	all.Wait()
	until(t, "all are refused", func() bool { return s.log.count("was refused") >= each*len(ways) })
	s.works(t)
	_ = s.Close()
}

// A recorded handshake cannot be used to connect later, and one side's proof cannot be used as the
// other side's.
func TestReplay(t *testing.T) {
	s := open(t, "tcp", "127.0.0.1:0", connection.Config{Key: key})
	proxy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	defer proxy.Close()
	recorded := make(chan []byte, 1)
	go func() {
		c, err := proxy.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		up := s.raw(t)
		go func() { _, _ = io.Copy(c, up) }()
		b := make([]byte, 81)
		_, _ = io.ReadFull(c, b)
		_, _ = up.Write(b)
		recorded <- b
		_, _ = io.Copy(up, c)
	}()

	c, err := connection.Dial[order](t.Context(), "tcp", proxy.Addr().String(), s.cfg)
	if err != nil {
		t.Fatal(err)
	}

	defer c.Close()
	_ = s.accept(t).Close()
	again := s.raw(t)
	hello := make([]byte, 41)
	if _, err := io.ReadFull(again, hello); err != nil {
		t.Fatal(err)
	}

	if _, err := again.Write(<-recorded); err != nil {
		t.Fatal(err)
	}
	verdict := make([]byte, 33)
	if _, err := io.ReadFull(again, verdict); err != nil || verdict[0] == 0 || !bytes.Equal(verdict[1:], make([]byte, 32)) {
		t.Errorf("% x, %v", verdict, err)
	}
	until(t, "it is refused", func() bool { return s.log.count("does not know the key") == 1 })
}

// A listener that does not know the key cannot pass for a listener that does.
func TestFalseListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write(append([]byte("mp-conn\x01\x01"), make([]byte, 32)...))
			b := make([]byte, 81)
			_, _ = io.ReadFull(c, b)
			_, _ = c.Write(append([]byte{0}, b[49:]...)) // accepted, with the dialer's own proof
		}
	}()

	if _, err := connection.Dial[order](t.Context(), "tcp", l.Addr().String(), connection.Config{Key: key}); !errors.Is(err, connection.ErrAuthentication) {
		t.Error(err)
	}

	over, cancel := context.WithCancel(t.Context())
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := connection.Dial[order](over, "tcp", silent.Addr().String(), connection.Config{Key: key}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// N18: a message over the limit ends the connection on which it arrives. Earlier messages are
// received.
func TestTooLong(t *testing.T) {
	mptest.NoLeaks(t)
	s := open(t, "tcp", "127.0.0.1:0", connection.Config{Key: key, MaxMessage: 1000})
	c, a := s.dial(t), s.accept(t)
	for _, size := range []int{999, 1000} { // with the byte for the type
		if err := c.SendBytes(t.Context(), make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}

	if b, err := a.RecvBytes(t.Context()); len(b) != 999 || err != nil {
		t.Error(len(b), err)
	}

	for range 2 {
		if _, err := a.RecvBytes(t.Context()); !errors.Is(err, connection.ErrTooLong) {
			t.Error(err)
		}
	}
	s.works(t)
	_, _, _ = c.Close(), a.Close(), s.Close()
}

// Serve serves all clients at the same time. A panic in a handler affects only that handler's
// connection.
func TestServe(t *testing.T) {
	mptest.NoLeaks(t)
	s := open(t, "tcp", "127.0.0.1:0", connection.Config{Key: key})
	served := make(chan error)
	go func() {
		served <- s.Serve(t.Context(), func(ctx context.Context, c *ipc.Conn[order]) {
			for {
				o, err := c.Recv(ctx)
				if err != nil {
					return
				}
				if o.Item == "a bomb" {
					panic("bang")
				}
				_ = c.Send(ctx, o)
			}
		})
	}()

	good, bad := s.dial(t), s.dial(t)
	_ = bad.Send(t.Context(), order{Item: "a bomb"})
	if _, err := bad.Recv(t.Context()); !errors.Is(err, io.EOF) {
		t.Error(err)
	}

	if n := s.log.count("panic=bang"); n != 1 {
		t.Error(n, "panics in the log")
	}

	for i := range 10 {
		_ = good.Send(t.Context(), order{Many: []int{i}})
		if o, err := good.Recv(t.Context()); err != nil || o.Many[0] != i {
			t.Error(o, err)
		}
	}

	_ = s.Close()
	_ = good.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	again := open(t, "tcp", "127.0.0.1:0", connection.Config{Key: key})
	go func() {
		served <- again.Serve(ctx, func(ctx context.Context, c *ipc.Conn[order]) { _, _ = c.Recv(ctx) })
	}()
	_ = again.dial(t)
	cancel()
	if err := <-served; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	_ = again.Close()
}

// TryRecv receives a message that has arrived, and does not wait.
func TestTryRecv(t *testing.T) {
	s := open(t, "tcp", "127.0.0.1:0", connection.Config{Key: key})
	c, a := s.dial(t), s.accept(t)
	if _, err := a.TryRecv(); !errors.Is(err, ipc.ErrEmpty) {
		t.Error(err)
	}

	_ = c.Send(t.Context(), order{Item: "nails"})
	if _, err := ipc.Select(t.Context(), a); err != nil {
		t.Error(err)
	}

	if o, err := a.TryRecv(); o.Item != "nails" || err != nil {
		t.Error(o, err)
	}
	_ = c.Close()
	if _, err := ipc.Select(t.Context(), a); err != nil {
		t.Error(err)
	}
	if _, err := a.TryRecv(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// If a peer closes a connection that has unread messages, the connection ends as usual.
func TestClosedUnread(t *testing.T) {
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": fmt.Sprintf("@mp-unread-%p", t)} {
		s := open(t, network, address, connection.Config{Key: key})
		c, a := s.dial(t), s.accept(t)
		if err := a.Send(t.Context(), order{Item: "last"}); err != nil {
			t.Fatal(err)
		}

		for range 10 { // more than is read ahead
			if err := c.Send(t.Context(), order{Item: strings.Repeat("x", 5000)}); err != nil {
				t.Fatal(err)
			}
		}

		if o, err := c.Recv(t.Context()); o.Item != "last" || err != nil {
			t.Error(network, o, err)
		}
		_ = a.Close()
		if _, err := c.Recv(t.Context()); !errors.Is(err, io.EOF) {
			t.Error(network, err)
		}
	}
}

// A call that is canceled with a cause returns the cause and the context's error.
func TestCauses(t *testing.T) {
	s := open(t, "tcp", "127.0.0.1:0", connection.Config{Key: key})
	c := s.dial(t)
	_ = s.accept(t)
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	waits := make(chan error, 2)
	go func() { _, err := c.Recv(ctx); waits <- err }()
	go func() { _, err := s.Accept(ctx); waits <- err }()
	cancel(why)
	for range cap(waits) {
		if err := <-waits; !errors.Is(err, why) || !errors.Is(err, context.Canceled) {
			t.Errorf("%v: not both", err)
		}
	}

	if _, err := connection.Dial[order](ctx, "tcp", s.Addr().String(), s.cfg); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A receive that is canceled loses no message.
func TestDeadlines(t *testing.T) {
	s := open(t, "tcp", "127.0.0.1:0", connection.Config{Key: key})
	c, a := s.dial(t), s.accept(t)
	for range 20 {
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if _, err := a.Recv(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}

		cancel()
		if err := c.Send(short, order{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}

		if err := c.Send(t.Context(), order{Item: "after"}); err != nil {
			t.Error(err)
		}
		if o, err := a.Recv(t.Context()); o.Item != "after" || err != nil {
			t.Error(o, err)
		}
	}
}

// Select can wait for connections over sockets and for other objects at once.
func TestSelectSockets(t *testing.T) {
	s := open(t, "unix", fmt.Sprintf("@mp-select-%p", t), connection.Config{Anybody: true})
	var clients, here []*ipc.Conn[order]
	var all []ipc.Selectable
	for range 5 {
		clients = append(clients, s.dial(t))
		a := s.accept(t)
		here, all = append(here, a), append(all, a)
	}

	for i := range 50 {
		go func() { _ = clients[i%5].Send(t.Context(), order{}) }()
		got, err := ipc.Select(t.Context(), all...)
		if err != nil || len(got) != 1 || got[0] != i%5 {
			t.Fatal(i, got, err)
		}

		if ready, err := here[i%5].Poll(t.Context(), 0); !ready || err != nil {
			t.Error(ready, err)
		}
		if _, err := here[i%5].Recv(t.Context()); err != nil {
			t.Fatal(err)
		}
		if ready, err := here[i%5].Poll(t.Context(), 0); ready || err != nil {
			t.Error(ready, err)
		}
	}
}

// Values that have a meaning only within a tree of processes are refused at once, and no harm is
// done.
func TestNothingIsBroughtAlong(t *testing.T) {
	l, err := connection.Listen[any]("unix", fmt.Sprintf("@mp-any-%p", t), connection.Config{Key: key})
	if err != nil {
		t.Skip(err)
	}

	defer l.Close()
	c, err := connection.Dial[any](t.Context(), "unix", l.Addr().String(), connection.Config{Key: key})
	if err != nil {
		t.Fatal(err)
	}

	defer c.Close()
	a, err := l.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	defer a.Close()
	m, err := ipc.NewMutex()
	if err != nil {
		t.Skip(err)
	}
	defer m.Close()
	var bad *mp.CodecError
	if err := c.Send(t.Context(), []any{1, m}); !errors.As(err, &bad) {
		t.Error(err)
	}
	if err := c.Send(t.Context(), []any{1, "fine"}); err != nil {
		t.Error(err)
	}
	if v, err := a.Recv(t.Context()); err != nil || fmt.Sprint(v) != "[1 fine]" {
		t.Error(v, err)
	}
}
