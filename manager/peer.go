package manager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/store"
)

// peer is a client as its manager sees it.
type peer struct {
	conn *conn
	name string
	far  bool // it is remote
	most int  // bytes in a message

	client *store.Client
	pushes *sync.WaitGroup
	buf    []byte
	rest   []byte       // of a message: requests that have not been looked at
	out    store.Writer // answers, of who takes turns

	mu      sync.Mutex
	later   [][]byte // answers that came later
	bytes   int      // in them
	refused bool     // there were too many
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
	var err error
	if len(p.out.B) > 0 {
		err = p.send(s.ctx, p.out.B)
		p.out.B = p.out.B[:0]
	}
	for err == nil {
		err = p.turn(s.ctx, s.store, p.send)
	}
	p.end(s.ctx, s, err)
}

// enter makes the client known to the store.
func (p *peer) enter(ctx context.Context, s *Server) {
	p.pushes = &s.pushes
	most := p.most - 1 // behind the byte that says what it is
	if !p.far {
		most -= 2 * flushMessageAt // so that bound has nothing to send, which could block the front
	}
	p.client = s.store.NewClient(p.far, most, func(call uint32, answer []byte) { p.push(ctx, call, answer) })
}

// end is when the client is gone, or is thrown out.
func (p *peer) end(ctx context.Context, s *Server, err error) {
	s.store.Leave(p.client)
	_ = p.conn.Close()
	if ctx.Err() == nil && !gone(err) {
		s.log.Warn("manager: a client was refused", "client", p.name, "error", err)
	}
}

// turn waits for requests and answers them. Answers to those that came together go together.
func (p *peer) turn(ctx context.Context, st *store.Store, send func(ctx context.Context, b []byte) error) error {
	if p.buf == nil {
		p.buf = make([]byte, bufSize)
	}
	out := &p.out
	for n, more := 0, true; more && n < atATime && len(out.B) < flushAt; n++ {
		if len(p.rest) == 0 {
			message, err := receive(ctx, p.conn, p.buf)
			if err != nil {
				return err
			}
			p.rest = message
		}
		if err := p.answer(ctx, st); err != nil {
			return err
		}
		if len(p.rest) > 0 {
			break
		}
		var err error
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

// answer does what requests of a message say, of which some are left when the answers are to be sent
// first, or it is the turn of other clients.
func (p *peer) answer(ctx context.Context, st *store.Store) error {
	var began time.Time
	for n := 1; len(p.rest) > 0 && len(p.out.B) < flushMessageAt; n++ {
		call, body, rest, err := store.NextFrame(p.rest)
		if err != nil {
			return err
		}
		at := len(p.out.B)
		st.Do(p.client, call, body, &p.out)
		p.rest = rest
		if err := p.bound(ctx, &p.out, at, call); err != nil {
			return err
		}

		if n%manyFrames == 0 {
			if began.IsZero() {
				began = time.Now()
			} else if time.Since(began) > turnTime {
				break
			}
		}
	}
	if len(p.rest) == 0 {
		p.rest = nil
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

func (p *peer) trySend(_ context.Context, b []byte) error {
	err := p.conn.TrySendBytes(b)
	if errors.Is(err, mp.ErrFull) {
		return errSlow
	}
	return err
}

// send sends answers, however long the client takes to read them: it may be slow, or stopped. Meanwhile
// it is asked for nothing more, and push bounds what comes beside that.
func (p *peer) send(ctx context.Context, b []byte) error { return p.conn.SendBytes(ctx, b) }

// push sends an answer, beside whoever calls it.
func (p *peer) push(ctx context.Context, call uint32, answer []byte) {
	if tooLong(len(answer), p.most) {
		var w store.Writer
		p.refuse(&w, call, len(answer))
		answer = w.B
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refused {
		return
	}
	p.later = append(p.later, answer)
	p.bytes += len(answer)
	most := mostLater
	if !p.far {
		most = mostLaterHere
	}
	if len(p.later) > 1 && p.bytes > most {
		p.later, p.bytes, p.refused = nil, 0, true
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

// gone reports whether an error says that the other side has closed the connection.
func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, mp.ErrClosed) || errors.Is(err, io.ErrUnexpectedEOF)
}

// errSlow is returned for a client for whose answers there is no room. They have not been sent.
var errSlow = errors.New("slow")
