//go:build linux

package manager_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/connection"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/manager"
	"github.com/go-multiprocessing/mp/mptest"
)

var secret = []byte("what both sides know")

// remote returns a manager that serves at an address, and its log.
func remote(t testing.TB, cfg manager.Config) (*manager.Manager, *journal) {
	t.Helper()
	j := &journal{}
	cfg.Process.Output = mp.Output{Logger: slog.New(slog.NewTextHandler(j, nil))}
	if cfg.Address == "" && cfg.Setup == nil {
		cfg.Network, cfg.Address, cfg.Key = "tcp", "127.0.0.1:0", secret
	}
	return start(t, cfg), j
}

// journal records a manager's log.
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

func dial(t testing.TB, m *manager.Manager) *manager.Manager {
	t.Helper()
	far, err := manager.Dial(t.Context(), "tcp", m.Addr(), connection.Config{Key: secret})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = far.Close() })
	return far
}

// M12 M14: another program finds a manager by its address and key, and the objects by their names.
// Both programs see the same objects.
func TestRemote(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := soon(t)
	for _, address := range [][2]string{{"tcp", "127.0.0.1:0"}, {"unix", filepath.Join(t.TempDir(), "socket")}, {"unix", fmt.Sprintf("@mp-manager-%p", t)}} {
		m, _ := remote(t, manager.Config{Network: address[0], Address: address[1], Key: secret})
		d := must(manager.NewDict[string, int](ctx, m, manager.Named("counts")))
		l := must(manager.NewList[string](ctx, m, nil, manager.Named("words")))
		program := exec.Command(os.Args[0], "-test.run=^TestRemoteProgram$", "-test.v")
		program.Env = append(os.Environ(), "MP_TEST_MANAGER="+address[0]+" "+m.Addr())
		out, err := program.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}

		if n, _, err := d.Get(ctx, "n"); n != 42 || err != nil {
			t.Error(n, err)
		}

		words := must(l.Copy(ctx))
		if strings.Join(words, " ") != "from elsewhere" {
			t.Error(words)
		}
		_ = m.Close()
	}
}

// TestRemoteProgram is the other program.
func TestRemoteProgram(t *testing.T) {
	network, address, ok := strings.Cut(os.Getenv("MP_TEST_MANAGER"), " ")
	if !ok {
		t.Skip("started by TestRemote")
	}

	ctx := soon(t)
	if _, err := manager.Dial(ctx, network, address, connection.Config{Key: []byte("another key of such length")}); !errors.Is(err, connection.ErrAuthentication) {
		t.Error(err)
	}

	m, err := manager.Dial(ctx, network, address, connection.Config{Key: secret})
	if err != nil {
		t.Fatal(err)
	}

	d := must(manager.NewDict[string, int](ctx, m, manager.Named("counts")))
	if n, err := manager.Update(ctx, d, "n", plus, 42); n != 42 || err != nil {
		t.Error(n, err)
	}

	l := must(manager.NewList(ctx, m, []string{"not used"}, manager.Named("words")))
	if _, err := l.Append(ctx, "from", "elsewhere"); err != nil {
		t.Error(err)
	}
	nested := must(manager.NewDict[int, *manager.List[string]](ctx, m))
	_ = nested.Set(ctx, 1, l)
	again, _, err := nested.Get(ctx, 1)
	if err != nil || must(again.Len(ctx)) != 2 {
		t.Error(err)
	}
	n := 0
	for _, err := range d.All(ctx) {
		if n++; err != nil {
			t.Error(err)
		}
	}
	if n != 1 {
		t.Error(n)
	}
	if err := m.Shutdown(ctx); err == nil {
		t.Error("shut down by a client")
	}
	_ = m.Close()
	if _, err := d.Len(ctx); !errors.Is(err, mp.ErrClosed) {
		t.Error(err)
	}
}

// M15: a new manager can be started at an address that was used before.
func TestSameAddress(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := soon(t)
	for _, network := range []string{"tcp", "unix"} {
		address := "127.0.0.1:0"
		if network == "unix" {
			address = filepath.Join(t.TempDir(), "socket")
		}

		m, _ := remote(t, manager.Config{Network: network, Address: address, Key: secret})
		address = m.Addr()
		if _, err := manager.Start(ctx, manager.Config{Network: network, Address: address, Key: secret}); err == nil {
			t.Error("two at one address")
		}

		far := must(manager.Dial(ctx, network, address, connection.Config{Key: secret}))
		d := must(manager.NewDict[string, int](ctx, far))
		if err := m.Shutdown(ctx); err != nil {
			t.Error(err)
		}

		m, _ = remote(t, manager.Config{Network: network, Address: address, Key: secret})
		if err := far.Ping(ctx); err == nil {
			t.Error("another manager was taken for the one before")
		}
		if _, err := d.Len(ctx); err == nil {
			t.Error("an object of a manager that has ended")
		}
		_ = far.Close()
		if err := dial2(ctx, network, m.Addr()); err != nil {
			t.Error(err)
		}
		_ = m.Close()
	}
}

func dial2(ctx context.Context, network, address string) error {
	m, err := manager.Dial(ctx, network, address, connection.Config{Key: secret})
	if err == nil {
		err = errors.Join(m.Ping(ctx), m.Close())
	}
	return err
}

// If a connection is lost, calls on it return an error that says so, and the client loses its
// locks. Later calls use a new connection and the same objects.
func TestReconnect(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := soon(t)
	m, _ := remote(t, manager.Config{})
	far := dial(t, m)
	d := must(manager.NewDict[string, int](ctx, far))
	lock := must(manager.NewMutex(ctx, far, manager.Named("lock")))
	here := must(manager.NewMutex(ctx, m, manager.Named("lock")))
	if err := errors.Join(d.Set(ctx, "a", 1), lock.Lock(ctx)); err != nil {
		t.Fatal(err)
	}

	waits := make(chan error)
	go func() { waits <- lock.Lock(ctx) }()
	until(t, "it waits", func() bool { return stats(t, m).Waiting == 1 })
	far.Drop()
	if err := <-waits; !errors.Is(err, manager.ErrLost) {
		t.Error(err)
	}

	if n, ok, err := d.Get(ctx, "a"); n != 1 || !ok || err != nil {
		t.Error(n, ok, err)
	}

	if err := here.Lock(ctx); !errors.Is(err, ipc.ErrOwnerDied) {
		t.Error(err)
	}

	if err := lock.Unlock(ctx); !errors.Is(err, ipc.ErrNotHeld) {
		t.Error(err)
	}
	for range 20 {
		go func() { waits <- d.Set(ctx, "a", 2) }()
	}
	far.Drop()
	for range 20 {
		if err := <-waits; err != nil && !errors.Is(err, manager.ErrLost) {
			t.Error(err)
		}
	}
	_ = far.Close()
	_ = m.Close()
}

// If a call waits for a connection that another call is making, it waits only until its own context
// ends.
func TestUnreachable(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := soon(t)
	m, _ := remote(t, manager.Config{})
	far := dial(t, m)
	if err := far.Ping(ctx); err != nil {
		t.Fatal(err)
	}

	stop(t, m.PID())
	far.Drop()
	patient, cancelPatient := context.WithCancel(ctx)
	over := make(chan error, 20)
	for range cap(over) {
		go func() { over <- far.Ping(patient) }()
	}

	for range 20 { // eventually another call makes the connection
		short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		if err := far.Ping(short); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, manager.ErrLost) {
			t.Error(err)
		}
		cancel()
	}

	cancelPatient()
	for range cap(over) {
		<-over
	}
	_ = far.Close()
	_ = m.Close()
}

// A client without the key, a browser, a port scanner and random bytes each cost a line in the log,
// while other clients are served.
func TestHostile(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := soon(t)
	m, j := remote(t, manager.Config{})
	far := dial(t, m)
	d := must(manager.NewDict[int, int](ctx, far))
	raw := func() net.Conn { return must(net.Dial("tcp", m.Addr())) }
	for _, say := range []func(c net.Conn){
		func(c net.Conn) {
			fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", strings.Repeat("Cookie: x\r\n", 50))
		},
		func(net.Conn) {},
		func(c net.Conn) { _, _ = io.CopyN(c, rand.Reader, 1<<16) },
		func(c net.Conn) { fmt.Fprint(c, "mp-conn\x01") },
	} {
		c := raw()
		say(c)
		_ = c.Close()
		if err := d.Set(ctx, 1, 1); err != nil {
			t.Error(err)
		}
	}

	for range 3 {
		if _, err := manager.Dial(ctx, "tcp", m.Addr(), connection.Config{Key: []byte("a guess of the key")}); !errors.Is(err, connection.ErrAuthentication) {
			t.Error(err)
		}
	}

	until(t, "all are refused", func() bool { return j.count("was refused") >= 7 })
	// A client that knows the key and violates the protocol.
	for range 20 {
		c, err := connection.Dial[manager.Protocol](ctx, "tcp", m.Addr(), connection.Config{Key: secret})
		if err != nil {
			t.Fatal(err)
		}
		noise := make([]byte, 100)
		_, _ = rand.Read(noise)
		_ = c.SendBytes(ctx, noise)
		for err == nil { // until the client is disconnected, or gets an answer all the same
			_, err = c.RecvBytes(ctx)
		}
		_ = c.Close()
	}

	// A client that never reads its answers.
	greedy, err := connection.Dial[manager.Protocol](ctx, "tcp", m.Addr(), connection.Config{Key: secret})
	if err != nil {
		t.Fatal(err)
	}

	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	for greedy.SendBytes(short, manager.Pings(1000)) == nil {
	}
	if n := must(d.Len(ctx)); n != 1 {
		t.Error(n)
	}

	_ = greedy.Close()
	until(t, "all have gone", func() bool { return stats(t, m).Clients == 2 })
	_ = far.Close()
	_ = m.Close()
}

// If a request or an answer is longer than a message may be, only that call returns an error.
func TestMessageSize(t *testing.T) {
	ctx := soon(t)
	m, _ := remote(t, manager.Config{Setup: listenSmall.With("127.0.0.1:0")})
	far, err := manager.Dial(ctx, "tcp", m.Addr(), connection.Config{Key: secret, MaxMessage: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}

	defer far.Close()
	l := must(manager.NewList[[]byte](ctx, far, nil))
	if _, err := l.Append(ctx, make([]byte, 1<<17)); !errors.Is(err, manager.ErrLimit) {
		t.Error(err)
	}

	for range 10 {
		if _, err := l.Append(ctx, make([]byte, 10_000)); err != nil {
			t.Fatal(err)
		}
	}

	if _, err := l.Copy(ctx); !errors.Is(err, manager.ErrLimit) {
		t.Error(err)
	}
	n := 0
	for b, err := range l.All(ctx) {
		if n++; len(b) != 10_000 || err != nil {
			t.Error(len(b), err)
		}
	}
	if n != 10 {
		t.Error(n)
	}
}

// Messages may have up to the maximum number of bytes and no more. This is true of a single request
// or answer that just fits or just does not, and of several that are sent together.
func TestFullMessages(t *testing.T) {
	ctx := soon(t)
	m, _ := remote(t, manager.Config{Setup: listenSmall.With("127.0.0.1:0")})
	far, err := manager.Dial(ctx, "tcp", m.Addr(), connection.Config{Key: secret, MaxMessage: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}

	defer far.Close()
	v := must(manager.NewValue(ctx, far, ""))
	refused := 0
	for n := 1<<16 - 40; n < 1<<16; n++ {
		err := v.Store(ctx, strings.Repeat("x", n))
		if err == nil {
			_, err = v.Load(ctx)
		}
		if errors.Is(err, manager.ErrLimit) {
			refused++
		} else if err != nil {
			t.Error(n, err)
		}
	}

	if refused == 0 || refused == 40 {
		t.Error(refused, "of 40 were refused")
	}

	l := must(manager.NewList[[]byte](ctx, far, nil))
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 10 {
				if _, err := l.Append(ctx, make([]byte, 40_000)); err != nil {
					t.Error(err)
				}
			}
		})
	}

	all.Wait()
	if n := must(l.Len(ctx)); n != 160 {
		t.Error(n)
	}
}

var listenSmall = manager.SetupFunc("listenSmall", func(_ context.Context, s *manager.Server, address string) error {
	_, err := s.Listen("tcp", address, connection.Config{Key: secret, MaxMessage: 1 << 16})
	return err
})

type certified struct{ Certificate, Key []byte }

var listenTLS = manager.SetupFunc("listenTLS", func(_ context.Context, s *manager.Server, c certified) error {
	pair, err := tls.X509KeyPair(c.Certificate, c.Key)
	if err == nil {
		_, err = s.Listen("tcp", "127.0.0.1:0", connection.Config{TLS: &tls.Config{Certificates: []tls.Certificate{pair}}})
	}
	return err
})

// A function that runs in the manager can set up TLS.
func TestTLS(t *testing.T) {
	ctx := soon(t)
	private := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der := must(x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private))
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	key := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: must(x509.MarshalECPrivateKey(private))})
	m, _ := remote(t, manager.Config{Setup: listenTLS.With(certified{certificate, key})})
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(certificate)
	far, err := manager.Dial(ctx, "tcp", m.Addr(), connection.Config{TLS: &tls.Config{RootCAs: trusted}})
	if err != nil {
		t.Fatal(err)
	}

	defer far.Close()
	d := must(manager.NewDict[string, string](ctx, far))
	if err := d.Set(ctx, "a", "b"); err != nil {
		t.Error(err)
	}

	if _, err := manager.Dial(ctx, "tcp", m.Addr(), connection.Config{TLS: &tls.Config{}}); err == nil {
		t.Error("an unknown certificate was trusted")
	}
}
