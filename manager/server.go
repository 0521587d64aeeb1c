package manager

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/connection"
	"github.com/go-multiprocessing/mp/internal/errtree"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// serving is the argument of serve.
type serving struct {
	ID               store.ID
	Door             *ipc.Queue[hello]
	Stop             *ipc.Event // set when the manager must end
	Ready            *ipc.Conn[readiness]
	Limits           Limits
	Linger           time.Duration
	Setup            boundSetup
	Network, Address string
	Key              []byte
}

// serve runs a manager in its process until the manager ends.
var serve = mp.RegisterAction("serve", func(ctx context.Context, job serving) error {
	ctx, cancel := context.WithCancel(ctx)
	s := &Server{ctx: ctx, cancel: cancel, log: slog.Default()}
	s.requests.init(maxRequested, maxRequestedEach)
	s.answers.init(maxAnswered, maxAnsweredEach)
	s.local = admission{most: job.Limits.Clients, each: job.Limits.Connections}
	functions.hosts(job.ID)
	s.store = store.New(job.ID, job.Limits.store(), &functions, job.Linger)
	err := s.begin(job)
	f := newFront(s, job.Door, job.Stop)
	if err == nil {
		err = f.run()
	}
	s.end()
	f.close()
	return err
})

// A Server is a manager as seen by a Setup function in the manager's own process.
type Server struct {
	store  *store.Store
	ctx    context.Context
	cancel context.CancelFunc
	log    *slog.Logger
	local  admission // counts clients that come through the door

	requests, answers budget // of local clients
	slow              lane
	owed              debts // of local clients

	mu        sync.Mutex
	listeners []*connection.Listener[protocol]
	serving   sync.WaitGroup
	pushes    sync.WaitGroup // goroutines that send later answers
}

// Listen serves remote clients at an address; see [connection.Listen]. It returns the address. If
// the port was left open, the result contains the port that was chosen.
//
// cfg.MaxMessage bounds each request and each answer. A call whose answer would be longer returns
// [ErrLimit]. A call whose request is longer also returns ErrLimit, unless the client gave [Dial] a
// larger MaxMessage. In that case, the manager ends the connection: the call returns [ErrLost], and
// the client's locks are lost. Since requests of several goroutines can share a message, this may
// also happen to shorter requests. A client with a smaller MaxMessage loses its connection when a
// longer answer arrives. So give Dial the same MaxMessage.
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

// begin runs Setup and starts to listen. It then reports to the starting process that the manager
// is ready to serve clients, or why it is not.
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

// flushAt is how many bytes of answers may collect before the answers are sent, even if there are
// more requests.
const flushAt = 32 << 10

// atATime is how many of a client's messages are served before other clients get their turn.
const atATime = 256

// Bounds of a turn in the front, which checks the clock once every manyFrames requests. A client
// that exceeds these bounds gets a goroutine of its own.
const (
	maxRequests = 4096
	maxAtOnce   = 1 << 20
	manyFrames  = 16
	turnTime    = 5 * time.Millisecond
)

// Bounds, in bytes, for local clients: on long requests that the manager has received but not
// answered, and on long answers that the clients have not read. For each of the two, there is one
// bound for all clients together, and one for the connections that one process has made. Each bound
// leaves room for the longest message.
const (
	maxRequested     = 4 * maxBytes
	maxRequestedEach = maxBytes
	maxAnswered      = 8 * maxBytes
	maxAnsweredEach  = 4 * maxBytes
)

// Bounds, in bytes, on the later answers that a client may leave unread. There is always room for
// one answer. The bound for a local client is larger, since its process may be stopped for a while
// with many calls in progress.
const (
	maxLater     = 64 << 20
	maxLaterHere = 256 << 20
)
