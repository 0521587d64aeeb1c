package connection

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/ipc"
)

// A Listener accepts connections with messages of type T. It is safe for concurrent use.
type Listener[T any] struct {
	cfg   Config
	net   net.Listener
	shape uint64

	accepted chan *ipc.Conn[T]
	ctx      context.Context
	cancel   context.CancelFunc
	serving  sync.WaitGroup
	open     chan struct{} // one element for each connection
	shakes   handshakes
	log      refusals
}

// Listen makes a Listener for an address. The network is "tcp", "tcp4", "tcp6" or "unix"; a Unix
// address that begins with @ is abstract. Handshakes take place concurrently, whether or not the
// program calls Accept. Listen returns an error if the address is in use, if cfg has neither Key,
// TLS nor Anybody, or if cfg.Key is shorter than [MinKey]. A Listener uses one goroutine, plus one
// for each handshake and each connection.
func Listen[T any](network, address string, cfg Config) (*Listener[T], error) {
	cfg, shape, err := prepare[T](network, cfg)
	if err != nil {
		return nil, err
	}
	n, err := listen(network, address)
	if err != nil {
		return nil, err
	}
	l := &Listener[T]{cfg: cfg, net: n, shape: shape, accepted: make(chan *ipc.Conn[T]), open: make(chan struct{}, cfg.MaxConns)}
	l.shakes.init(cfg.MaxHandshakes)
	l.log = refusals{log: cfg.Logger, listener: n.Addr().String()}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.serving.Go(l.serve)
	return l, nil
}

// Addr returns the address at which the listener listens.
func (l *Listener[T]) Addr() net.Addr { return l.net.Addr() }

// Accept waits for a connection to an authenticated peer. Failed handshakes are logged; Accept does
// not return their errors. After Close, Accept returns [mp.ErrClosed].
func (l *Listener[T]) Accept(ctx context.Context) (*ipc.Conn[T], error) {
	select {
	case c := <-l.accepted:
		return c, nil
	case <-l.ctx.Done():
		return nil, mp.ErrClosed
	case <-ctx.Done():
		return nil, cause.Of(ctx)
	}
}

// Serve accepts connections until ctx ends, and calls handle for each connection in a goroutine of
// its own. When handle returns, Serve closes the connection. A panic in handle is logged and ends
// only that connection. Serve returns nil after Close, or ctx's error after ctx has ended, but not
// before all calls of handle have returned.
func (l *Listener[T]) Serve(ctx context.Context, handle func(ctx context.Context, c *ipc.Conn[T])) error {
	var calls sync.WaitGroup
	defer calls.Wait()
	for {
		c, err := l.Accept(ctx)
		switch {
		case errors.Is(err, mp.ErrClosed):
			return nil
		case err != nil:
			return err
		}

		calls.Go(func() {
			defer c.Close()
			defer l.logPanic()
			handle(ctx, c)
		})
	}
}

// logPanic recovers from a panic and logs it. It must be deferred.
func (l *Listener[T]) logPanic() {
	if r := recover(); r != nil {
		l.cfg.Logger.Error("mp: panic in what serves a connection", "listener", l.Addr().String(), "panic", r, "stack", string(debug.Stack()))
	}
}

// Close closes the listener, and connections that have not been accepted. Accepted connections stay
// open. Close removes the file of a Unix socket, unless another listener's file has replaced it.
// Closing twice is fine.
func (l *Listener[T]) Close() error {
	err := l.net.Close()
	if l.ctx.Err() != nil {
		err = nil
	}
	l.cancel()
	l.serving.Wait()
	l.log.flush()
	return err
}

func (l *Listener[T]) serve() {
	for {
		c, err := l.net.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // for example, there are no more descriptors
			l.cfg.Logger.Error("mp: a connection cannot be accepted", "listener", l.Addr().String(), "error", err)
			select {
			case <-time.After(acceptRetryDelay):
			case <-l.ctx.Done():
				return
			}
			continue
		}

		h, dropped, err := l.shakes.enter(l.ctx, c)
		if dropped != nil {
			l.log.add(dropped, errDropped)
		}
		if err != nil {
			_ = c.Close()
			return
		}

		l.serving.Go(func() { l.greet(h) })
	}
}

// acceptRetryDelay is how long to wait after the system has failed to accept a connection.
const acceptRetryDelay = 50 * time.Millisecond

// greet performs the handshake and hands the connection to Accept.
func (l *Listener[T]) greet(h *handshake) {
	c := h.conn
	if l.cfg.TLS != nil {
		c = tls.Server(h.conn, l.cfg.TLS)
	}

	admitted := false
	err := shake(l.ctx, c, l.cfg, func(c net.Conn) error {
		return welcome(c, l.cfg.Key, l.shape, func() bool {
			admitted = l.shakes.leave(h) && l.admit() // from now on, h cannot be dropped
			return admitted
		})
	})
	if err == nil {
		l.handOver(c)
		return
	}

	_ = h.conn.Close()
	if admitted {
		<-l.open
	}
	if l.shakes.leave(h) {
		l.log.add(h.conn, err)
	}
}

// admit takes a place for a connection if one is free, and reports whether it did.
func (l *Listener[T]) admit() bool {
	select {
	case l.open <- struct{}{}:
		return true
	default:
		return false
	}
}

// handOver hands an admitted connection to Accept.
func (l *Listener[T]) handOver(c net.Conn) {
	s := newSocket(c, l.cfg.MaxMessage, func() { <-l.open })
	conn, err := ipc.NewConn[T](s)
	if err != nil {
		_ = s.Close()
		return
	}
	select {
	case l.accepted <- conn:
	case <-l.ctx.Done():
		_ = conn.Close()
	}
}
