package connection

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/ipc"
)

// Dial connects to a [Listener] and returns when the handshake has succeeded. The network is "tcp",
// "tcp4", "tcp6" or "unix"; a Unix address that begins with @ is abstract.
//
// The error is ctx's, the network's, TLS's, [ErrAuthentication] or [ErrTooMany], or it says that
// cfg is invalid or that the other side has a different message type. If the handshake takes longer
// than [Config].HandshakeTimeout, the error is context.DeadlineExceeded, even if ctx has not ended.
// On error, no connection is left open.
//
// The [ipc.Conn] is safe for concurrent use. If the ctx of a Send ends after a part of the message
// has been sent, or with TLS, after sending has begun, the Conn is closed.
func Dial[T any](ctx context.Context, network, address string, cfg Config) (*ipc.Conn[T], error) {
	cfg, shape, err := prepare[T](network, cfg)
	if err != nil {
		return nil, err
	}
	c, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if cfg.TLS != nil {
		c = tls.Client(c, withServerName(cfg.TLS, network, address))
	}

	if err := shake(ctx, c, cfg, func(c net.Conn) error { return introduce(c, cfg.Key, shape) }); err != nil {
		_ = c.Close()
		return nil, err
	}

	return ipc.NewConn[T](newSocket(c, cfg.MaxMessage, func() {}))
}

// withServerName returns cfg with the server name that the client expects, which is the host in
// address unless cfg says otherwise.
func withServerName(cfg *tls.Config, network, address string) *tls.Config {
	if cfg.ServerName != "" || cfg.InsecureSkipVerify || network == "unix" {
		return cfg
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return cfg
	}
	cfg = cfg.Clone()
	cfg.ServerName = host
	return cfg
}

// shake calls f, and interrupts it when ctx ends or the handshake timeout has passed.
func shake(ctx context.Context, c net.Conn, cfg Config, f func(net.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, cfg.HandshakeTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	err := f(c)
	if !stop() {
		return errors.Join(cause.Of(ctx), err)
	}
	return err
}
