package connection_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp/connection"
	"github.com/go-multiprocessing/mp/mptest"
)

// certificate returns a self-signed certificate, and a pool that trusts it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}

	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}

	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// If a Send over TLS is canceled, the connection ends on both sides.
func TestTLSCutOff(t *testing.T) {
	server, trusted := certificate(t)
	s := open(t, "tcp", "127.0.0.1:0", connection.Config{Anybody: true, TLS: &tls.Config{Certificates: []tls.Certificate{server}}})
	s.cfg.TLS = &tls.Config{RootCAs: trusted}
	c, a := s.dial(t), s.accept(t)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	var err error
	for err == nil { // until there is no room
		err = c.Send(ctx, order{Item: strings.Repeat("x", 3000)})
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}

	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for err = nil; err == nil; {
		_, err = a.Recv(ctx)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}

	if err := c.Send(ctx, order{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

// With TLS, exactly the peers that the config trusts are admitted, with and without a key.
func TestTLS(t *testing.T) {
	mptest.NoLeaks(t)
	server, trustsServer := certificate(t)
	client, trustsClient := certificate(t)
	stranger, trustsStranger := certificate(t)
	for _, k := range [][]byte{nil, key} {
		s := open(t, "tcp", "127.0.0.1:0", connection.Config{Key: k, TLS: &tls.Config{
			Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trustsClient,
		}})

		for name, bad := range map[string]connection.Config{
			"no TLS":            {Key: key},
			"another server":    {Key: k, TLS: &tls.Config{RootCAs: trustsStranger, Certificates: []tls.Certificate{client}}},
			"another client":    {Key: k, TLS: &tls.Config{RootCAs: trustsServer, Certificates: []tls.Certificate{stranger}}},
			"no client's":       {Key: k, TLS: &tls.Config{RootCAs: trustsServer}},
			"nobody's the name": {Key: k, TLS: &tls.Config{RootCAs: trustsServer, Certificates: []tls.Certificate{client}, ServerName: "example.org"}},
		} {
			bad.HandshakeTimeout = time.Second
			if c, err := connection.Dial[order](t.Context(), "tcp", s.Addr().String(), bad); err == nil {
				_ = c.Close()
				t.Error("let in: ", name)
			}
		}

		s.cfg.TLS = &tls.Config{RootCAs: trustsServer, Certificates: []tls.Certificate{client}}
		s.works(t)
		s.works(t)
		_ = s.Close()
	}
}
