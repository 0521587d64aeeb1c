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

// Dial connects to a [Listener], on "unix", also with an abstract address that begins with @, "tcp",
// "tcp4" or "tcp6", and returns when the handshake has succeeded. The error is ctx's, the
// network's, TLS's, [ErrAuthentication], [ErrTooMany], or says that cfg is invalid or that the other side
// has another type of messages. If the handshake takes longer than [Config].HandshakeTimeout, it is
// context.DeadlineExceeded, even if ctx has not ended. On error no connection is left open.
// The [ipc.Conn] is safe for concurrent use; when the ctx of a Send ends while a message is half
// sent, or with TLS has begun to be, it is closed.
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

// withServerName is cfg for a client, which must know whom to expect.
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

// shake has a handshake take no longer than it may.
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
