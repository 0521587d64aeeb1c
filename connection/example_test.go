package connection_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"time"

	"github.com/go-multiprocessing/mp/connection"
	"github.com/go-multiprocessing/mp/ipc"
)

type bill struct {
	Item  string
	Cents int
}

// answer answers the orders of one client.
func answer(ctx context.Context, c *ipc.Conn[bill]) {
	for {
		b, err := c.Recv(ctx)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			log.Print(err)
			return
		}
		b.Cents = 100 * len(b.Item)
		if err := c.Send(ctx, b); err != nil {
			log.Print(err)
			return
		}
	}
}

// A listener and a client, here in one program, authenticate each other with a key.
func ExampleDial() {
	ctx := context.Background()
	key := make([]byte, 32) // both programs would read it from a file
	_, _ = rand.Read(key)
	cfg := connection.Config{Key: key}
	shop, err := connection.Listen[bill]("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- shop.Serve(ctx, answer) }()

	c, err := connection.Dial[bill](ctx, "tcp", shop.Addr().String(), cfg)
	if err != nil {
		log.Fatal(err)
	}

	for _, item := range []string{"nails", "hammer"} {
		if err := c.Send(ctx, bill{Item: item}); err != nil {
			log.Fatal(err)
		}
		fmt.Println(c.Recv(ctx))
	}

	_ = c.Close()
	fmt.Println(shop.Close(), <-served)
	// Output:
	// {nails 500} <nil>
	// {hammer 600} <nil>
	// <nil> <nil>
}

// selfSigned returns a self-signed certificate for 127.0.0.1, and a pool that trusts it.
func selfSigned() (tls.Certificate, *x509.CertPool, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}

	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotAfter:              time.Now().Add(time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}

	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, trusted, nil
}

// Between machines, a key is not enough: TLS encrypts and authenticates the messages. If there is a
// key as well, the listener can authenticate clients without client certificates.
func ExampleListen_tls() {
	ctx := context.Background()
	certificate, trusted, err := selfSigned()
	if err != nil {
		log.Fatal(err)
	}

	secret := []byte("some random bytes that both have read from a file")
	shop, err := connection.Listen[bill]("tcp", "127.0.0.1:0", connection.Config{
		Key: secret,
		TLS: &tls.Config{Certificates: []tls.Certificate{certificate}},
	})
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- shop.Serve(ctx, answer) }()

	c, err := connection.Dial[bill](ctx, "tcp", shop.Addr().String(), connection.Config{
		Key: secret,
		TLS: &tls.Config{RootCAs: trusted}, // the expected name is the host that Dial connects to
	})
	if err != nil {
		log.Fatal(err)
	}

	if err := c.Send(ctx, bill{Item: "nails"}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(c.Recv(ctx))
	_ = c.Close()
	fmt.Println(shop.Close(), <-served)
	// Output:
	// {nails 500} <nil>
	// <nil> <nil>
}

// A client that does not know the key gets an error. The listener logs the attempt and continues to
// accept other clients.
func ExampleDial_wrongKey() {
	ctx := context.Background()
	shop, err := connection.Listen[bill]("tcp", "127.0.0.1:0", connection.Config{
		Key:    []byte("what the shop knows"),
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer shop.Close()

	_, err = connection.Dial[bill](ctx, "tcp", shop.Addr().String(), connection.Config{Key: []byte("a guess of the key")})
	fmt.Println(errors.Is(err, connection.ErrAuthentication))
	_, err = connection.Dial[bill](ctx, "tcp", shop.Addr().String(), connection.Config{})
	fmt.Println(err)
	// Output:
	// true
	// connection: Config has neither Key nor TLS: set one, or Anybody to let in whoever can reach the address
}
