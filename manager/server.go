package manager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/connection"
	"github.com/go-multiprocessing/mp/internal/errtree"
	"github.com/go-multiprocessing/mp/internal/store"
)

// serving is what a manager's process is told.
type serving struct {
	ID               store.ID
	Door             *mp.Queue[hello]
	Ready            *mp.Conn[readiness]
	Limits           Limits
	Linger           time.Duration
	Setup            boundSetup
	Network, Address string
	Key              []byte
}

// serve is the life of a manager's process.
var serve = mp.Register("serve", func(ctx context.Context, job serving) (struct{}, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &Server{ctx: ctx, cancel: cancel, log: slog.Default()}
	functions.hosts(job.ID)
	s.store = store.New(job.ID, store.Limits(job.Limits), &functions, job.Linger)
	err := s.begin(job)
	f := newFront(s, job.Door)
	if err == nil {
		err = f.run()
	}
	s.end()
	f.close()
	return struct{}{}, err
})

// A Server is a manager in its own process, as a Setup function sees it.
type Server struct {
	store  *store.Store
	ctx    context.Context
	cancel context.CancelFunc
	log    *slog.Logger

	mu        sync.Mutex
	listeners []*connection.Listener[protocol]
	serving   sync.WaitGroup
	pushes    sync.WaitGroup // of answers that come later
}

// Listen serves remote clients at an address; see [connection.Listen]. It returns the address, with
// the port that was chosen if that was left open. Config.MaxMessage bounds what a client may
// say at a time, and be told: what is longer is [ErrLimit].
func (s *Server) Listen(network, address string, cfg connection.Config) (net.Addr, error) {
	l, err := connection.Listen[protocol](network, address, cfg)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.listeners = append(s.listeners, l)
	s.mu.Unlock()
	most := cfg.MaxMessage
	if most == 0 {
		most = connection.DefaultMaxMessage
	}
	s.serving.Go(func() {
		_ = l.Serve(s.ctx, func(ctx context.Context, c *conn) {
			s.serve(ctx, &peer{conn: c, name: "a remote client of " + l.Addr().String(), far: true, most: most})
		})
	})
	return l.Addr(), nil
}

// begin does what comes before anybody is served, and says so.
func (s *Server) begin(job serving) error {
	var r readiness
	err := job.Setup.run(s.ctx, s)
	if err == nil && job.Address != "" {
		_, err = s.Listen(job.Network, job.Address, connection.Config{Key: job.Key})
	}
	s.mu.Lock()
	if n := len(s.listeners); n > 0 {
		r.Addr = s.listeners[n-1].Addr().String()
	}
	s.mu.Unlock()
	if err != nil {
		r.Err = errtree.Append(nil, err)
	}
	return errors.Join(err, job.Ready.Send(s.ctx, r), job.Ready.Close())
}

// lastAnswers is how long clients have to read why their calls have ended.
const lastAnswers = 250 * time.Millisecond

// end ends all calls, connections and objects.
func (s *Server) end() {
	s.store.Close(errEnded)
	told := make(chan struct{})
	go func() { s.pushes.Wait(); close(told) }()
	select {
	case <-told:
	case <-time.After(lastAnswers):
	}
	s.cancel()
	s.mu.Lock()
	listeners := s.listeners
	s.mu.Unlock()
	for _, l := range listeners {
		_ = l.Close()
	}
	s.serving.Wait()
	s.store.Wait()
}

// peer is a client as its manager sees it.
type peer struct {
	conn *conn
	name string
	far  bool // it is remote
	most int  // bytes in a message

	client *store.Client
	pushes *sync.WaitGroup
	buf    []byte
	out    store.Writer // answers, of who takes turns

	mu      sync.Mutex
	later   [][]byte // answers that came later
	bytes   int      // in them
	writing bool
}

// serve does what a client asks for until it is gone, in a goroutine of its own.
func (s *Server) serve(ctx context.Context, p *peer) {
	p.enter(ctx, s)
	for {
		if err := p.turn(ctx, s.store, p.send); err != nil {
			p.end(ctx, s, err)
			return
		}
	}
}

// goOn is serve of a client that does not read its answers fast enough to be served by the front.
func (s *Server) goOn(p *peer) {
	err := p.send(s.ctx, p.out.B)
	p.out.B = p.out.B[:0]
	for err == nil {
		err = p.turn(s.ctx, s.store, p.send)
	}
	p.end(s.ctx, s, err)
}

// enter makes the client known to the store.
func (p *peer) enter(ctx context.Context, s *Server) {
	p.pushes = &s.pushes
	p.client = s.store.NewClient(p.far, func(call uint32, answer []byte) { p.push(ctx, call, answer) })
}

// end is when the client is gone, or is thrown out.
func (p *peer) end(ctx context.Context, s *Server, err error) {
	s.store.Leave(p.client)
	_ = p.conn.Close()
	if ctx.Err() == nil && !gone(err) {
		s.log.Warn("manager: a client was refused", "client", p.name, "err", err)
	}
}

// gone reports whether an error says that the other side has closed the connection.
func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, mp.ErrClosed) || errors.Is(err, io.ErrUnexpectedEOF)
}

// flushAt is how many bytes of answers are sent though there are more requests.
const flushAt = 32 << 10

// atATime is how many messages a client may send before it is the turn of the others.
const atATime = 256

// turn waits for requests and answers them. Answers to those that came together go together.
func (p *peer) turn(ctx context.Context, st *store.Store, send func(ctx context.Context, b []byte) error) error {
	if p.buf == nil {
		p.buf = make([]byte, bufSize)
	}
	out := &p.out
	for n, more := 0, true; more && n < atATime && len(out.B) < flushAt; n++ {
		message, err := receive(ctx, p.conn, p.buf)
		if err != nil {
			return err
		}
		err = store.Frames(message, func(call uint32, body []byte) error {
			at := len(out.B)
			st.Do(p.client, call, body, out)
			return p.bound(ctx, out, at, call)
		})
		if err != nil {
			return err
		}
		more, err = p.conn.Poll(ctx, 0)
		more = more && err == nil
	}
	if len(out.B) == 0 {
		return nil
	}
	if err := send(ctx, out.B); err != nil {
		return err
	}
	out.B = out.B[:0]
	if cap(out.B) > mostPooled {
		out.B = nil
	}
	return nil
}

// bound sends what came before an answer that would make a message too long, and has an error in
// the place of one that is too long itself.
func (p *peer) bound(ctx context.Context, out *store.Writer, at int, call uint32) error {
	if !tooLong(len(out.B), p.most) {
		return nil
	}
	if n := len(out.B) - at; tooLong(n, p.most) {
		out.B = out.B[:at]
		p.refuse(out, call, n)
	}
	if at == 0 {
		return nil
	}
	err := p.send(ctx, out.B[:at])
	out.B = append(out.B[:0], out.B[at:]...)
	return err
}

func (p *peer) refuse(out *store.Writer, call uint32, n int) {
	out.Fail(call, fmt.Errorf("%w: an answer of %d bytes, where a message may have %d: ask for less at a time", ErrLimit, n, p.most))
}

// errSlow is returned for a client for whose answers there is no room. They have not been sent.
var errSlow = errors.New("slow")

func (p *peer) trySend(_ context.Context, b []byte) error {
	err := p.conn.TrySendBytes(b)
	if errors.Is(err, mp.ErrFull) {
		return errSlow
	}
	return err
}

// slow is how long a remote client may take to read what it asked for.
const slow = 30 * time.Second

func (p *peer) send(ctx context.Context, b []byte) error {
	if !p.far {
		return p.conn.SendBytes(ctx, b)
	}
	ctx, cancel := context.WithTimeout(ctx, slow)
	defer cancel()
	return p.conn.SendBytes(ctx, b)
}

// mostLater is how many bytes of answers a client may leave unread that came later, beside those
// to a local one.
const mostLater = 64 << 20

// push sends an answer, beside whoever calls it.
func (p *peer) push(ctx context.Context, call uint32, answer []byte) {
	if tooLong(len(answer), p.most) {
		var w store.Writer
		p.refuse(&w, call, len(answer))
		answer = w.B
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.later = append(p.later, answer)
	p.bytes += len(answer)
	if p.far && p.bytes > mostLater {
		p.later, p.bytes = nil, 0
		go p.conn.Close()
		return
	}
	if !p.writing {
		p.writing = true
		p.pushes.Go(func() { p.pushAll(ctx) })
	}
}

func (p *peer) pushAll(ctx context.Context) {
	for {
		p.mu.Lock()
		all, bytes := p.later, p.bytes
		p.later, p.bytes = nil, 0
		p.writing = len(all) > 0
		p.mu.Unlock()
		if len(all) == 0 {
			return
		}
		if !p.far && !tooLong(bytes, p.most) {
			all = [][]byte{slices.Concat(all...)}
		}
		for _, b := range all {
			if p.send(ctx, b) != nil {
				_ = p.conn.Close()
			}
		}
	}
}
