package manager

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// dying is a transport whose connection is lost after it has carried a message, but before this
// side knows that the message was carried.
type dying struct {
	sent   *atomic.Int32
	there  chan struct{} // closed when the message has been carried
	once   sync.Once
	closed chan struct{}
}

func (d *dying) Send(context.Context, []byte) error {
	d.sent.Add(1)
	close(d.there)
	<-d.closed
	return nil
}

func (d *dying) Recv(_ context.Context, buf []byte) ([]byte, error) {
	<-d.there
	return buf, io.EOF
}

func (d *dying) Ready() <-chan struct{} {
	return d.there
}

func (d *dying) Close() error {
	d.once.Do(func() { close(d.closed) })
	return nil
}

// A request that may have arrived is not sent again, even if the connection is lost while the
// request is being sent.
func TestNotTwice(t *testing.T) {
	var sent atomic.Int32
	s := newSession(store.NewID(), func(context.Context) (*conn, error) {
		if sent.Load() > 3 {
			return nil, errors.New("it was sent again and again")
		}
		return ipc.NewConn[protocol](&dying{sent: &sent, there: make(chan struct{}), closed: make(chan struct{})})
	})
	s.far = true
	err := s.begin(store.OpPing, 0).do(t.Context(), nil)
	if n := sent.Load(); n != 1 || !errors.Is(err, ErrLost) {
		t.Errorf("it was sent %d times: %v", n, err)
	}
	s.close(mp.ErrClosed)
}

// recording is a transport that keeps everything that is sent, and receives nothing.
type recording struct {
	mu   sync.Mutex
	sent []byte
}

func (r *recording) Send(_ context.Context, message []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent = append(r.sent, message[1:]...) // without the byte for the message's type
	return nil
}

func (r *recording) Recv(ctx context.Context, buf []byte) ([]byte, error) {
	<-ctx.Done()
	return buf, ctx.Err()
}
func (r *recording) Ready() <-chan struct{} { return nil }
func (r *recording) Close() error           { return nil }

// The manager learns of changes to an object's use in the order in which they happen, so the last
// note is the current state.
func TestTellInOrder(t *testing.T) {
	r := &recording{}
	s := newSession(store.NewID(), func(context.Context) (*conn, error) { return ipc.NewConn[protocol](r) })
	s.far = true
	if _, err := s.connected(t.Context()); err != nil {
		t.Fatal(err)
	}

	for round := range 100 {
		s.acquire(7, false)
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				for range 20 {
					s.sent(7)
					s.changeSent(7, func(n int) int { return n - 1 })
				}
			})
		}

		all.Wait()
		sending := true
		for sending {
			s.mu.Lock()
			sending = s.conn.sending
			s.mu.Unlock()
			runtime.Gosched()
		}

		last := byte(0)
		r.mu.Lock()
		_ = store.Frames(r.sent, func(_ uint32, body []byte) error {
			if on := body[len(body)-1]; store.Op(body[0]) == store.OpPin {
				if on == last {
					t.Error(round, "it is told twice in a row:", on)
				}
				last = on
			}
			return nil
		})
		r.sent = nil
		r.mu.Unlock()
		if last != 0 {
			t.Fatal(round, "it is told last that the object is on its way")
		}
		s.release(7)
	}

	s.close(mp.ErrClosed)
}

// line is a transport that receives nothing and calls a given function to send.
type line struct {
	send   func(ctx context.Context) error
	closed chan struct{}
	once   sync.Once
}

func newLine(send func(ctx context.Context) error) *line {
	return &line{send: send, closed: make(chan struct{})}
}

func (l *line) Send(ctx context.Context, _ []byte) error { return l.send(ctx) }

func (l *line) Recv(ctx context.Context, buf []byte) ([]byte, error) {
	select {
	case <-ctx.Done():
		return buf, ctx.Err()
	case <-l.closed:
		return buf, io.EOF
	}
}

func (l *line) Ready() <-chan struct{} { return l.closed }

func (l *line) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// If each connection is lost as soon as it is made, there are pauses between the connections.
func TestPauses(t *testing.T) {
	var made atomic.Int32
	s := newSession(store.NewID(), func(context.Context) (*conn, error) {
		made.Add(1)
		return ipc.NewConn[protocol](newLine(func(context.Context) error { return io.ErrClosedPipe }))
	})
	s.far = true
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := s.begin(store.OpPing, 0).do(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if n := made.Load(); n < 1 || n > 10 { // 1 + 2 + … + 256 ms
		t.Errorf("%d connections", n)
	}
	s.close(mp.ErrClosed)
}

// If a manager does not read, callers wait with their requests, so that the queue does not grow
// without bound.
func TestUnsent(t *testing.T) {
	const size, callers = 1 << 20, 40
	l := newLine(nil)
	l.send = func(context.Context) error { <-l.closed; return io.ErrClosedPipe }
	s := newSession(store.NewID(), func(context.Context) (*conn, error) { return ipc.NewConn[protocol](l) })
	s.far = true
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ask := func() error {
		r := s.begin(store.OpPing, 0)
		r.Bytes(make([]byte, size))
		return r.do(ctx, nil)
	}

	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			if err := ask(); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}

	for full := false; !full; runtime.Gosched() { // there are more callers than room, besides the batch in progress
		s.mu.Lock()
		full = s.conn != nil && s.conn.batches > 0 && len(s.conn.out)+size >= maxUnsent
		s.mu.Unlock()
	}

	cancel()
	all.Wait()
	s.mu.Lock()
	unsent, calls := len(s.conn.out), len(s.calls)
	s.mu.Unlock()
	if unsent == 0 || unsent > maxUnsent+callers*100 || calls > 2*(1+maxUnsent/size) { // the calls of one batch are in progress
		t.Errorf("%d bytes of %d calls", unsent, calls)
	}

	over := make(chan error)
	ctx = t.Context() // a caller that waits for room gets an error when there will never be any
	go func() { over <- ask() }()
	s.close(mp.ErrClosed)
	if err := <-over; !errors.Is(err, mp.ErrClosed) {
		t.Error(err)
	}
}

// A manager that was dialed twice stays known until both sessions are closed.
func TestSessions(t *testing.T) {
	id := store.NewID()
	sessions := []*session{newSession(id, nil), newSession(id, nil), newSession(id, nil)}
	for _, s := range sessions {
		s.far = true
		addSession(s, nil)
	}

	for i, closed := range []int{1, 0, 2} {
		want := sessions[[]int{0, 0, 2}[i]]
		if s, err := sessionOf(id, nil); s != want || err != nil || knownSession(id) != want {
			t.Error(i, s, err)
		}
		forgetSession(sessions[closed])
	}

	if _, err := sessionOf(id, nil); !errors.Is(err, errFar) || knownSession(id) != nil {
		t.Error(err)
	}
}
