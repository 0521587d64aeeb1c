//go:build linux

package attacks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/connection"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/manager"
)

// key is the key of the attacked program's clients.
var key = []byte("a key of thirty-two bytes, no less")

// A world is the attacked program while a row runs: two pools, a manager, a listener, and objects
// that the attacker does not get.
type world struct {
	row    Row
	bounds Bounds
	seed   uint64

	attacked, other *mp.Pool
	manager         *manager.Manager
	listener        *connection.Listener[int]
	serving         sync.WaitGroup
	holders         *holders
	silent          *silentPeer
	given           gifted
	sibling         *ipc.Value[int]            // in the given object's segment, but not given
	theirs          *manager.Dict[string, int] // used by the attacker
	ours, pool      *manager.Dict[string, int] // of main and another pool; of the attacked pool
	in, out         *ipc.Queue[int]
	counted         counted
	counts          int
	bystanders      []*bystander
	before          usage         // the program's usage when the row began
	over            chan struct{} // closed when the attack is over

	mu     sync.Mutex
	faults []string
	killed map[int]bool // workers of the attacked pool
	hung   bool         // a call does not return, so the program can run no more rows
}

func (w *world) fault(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.faults) < 10 {
		w.faults = append(w.faults, fmt.Sprintf(format, args...))
	}
}

// lost notes that a worker of the attacked pool has died while it ran a task.
func (w *world) lost(pid int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.killed[pid] = true
}

// within calls f and reports whether it returns within d.
func (w *world) within(name string, d time.Duration, f func()) bool {
	done := make(chan struct{})
	began := time.Now()
	go func() { defer close(done); f() }()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		w.fault("%s has not returned after %v", name, time.Since(began).Round(time.Millisecond))
		w.mu.Lock()
		w.hung = true
		w.mu.Unlock()
		return false
	}
}

// quiet discards workers' output.
var quiet = mp.Output{Stdout: io.Discard, Stderr: io.Discard, Logger: slog.New(slog.NewJSONHandler(io.Discard, nil))}

// stuckRecords is a log handler that blocks until a channel is closed.
type stuckRecords struct {
	slog.Handler
	until <-chan struct{}
}

func (s stuckRecords) Handle(ctx context.Context, r slog.Record) error {
	<-s.until
	return s.Handler.Handle(ctx, r)
}
func (s stuckRecords) WithAttrs(attrs []slog.Attr) slog.Handler {
	return stuckRecords{s.Handler.WithAttrs(attrs), s.until}
}
func (s stuckRecords) WithGroup(name string) slog.Handler {
	return stuckRecords{s.Handler.WithGroup(name), s.until}
}

// quickExit keeps the race detector from sleeping for a second at every exit.
var quickExit = []string{"GORACE=atexit_sleep_ms=0"}

// newWorld creates everything that a row needs.
func newWorld(ctx context.Context, row Row, seed uint64) (*world, error) {
	w := &world{row: row, bounds: row.Bounds.withDefaults(), seed: seed, killed: map[int]bool{}, over: make(chan struct{})}
	steps := []func(context.Context) error{w.makePools, w.makeManager, w.makeListener, w.makeObjects}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return w, err
		}
	}
	w.makeBystanders()
	return w, nil
}

func (w *world) makePools(ctx context.Context) (err error) {
	cfg := mp.PoolConfig{Workers: 1, Grace: w.bounds.Grace, Env: quickExit, Output: quiet, Limits: mp.Limits{NoCoreDumps: true}}
	if w.other, err = mp.NewPool(cfg); err != nil {
		return err
	}
	cfg.Workers = cmp.Or(w.row.workers, 2)
	cfg.Env = slices.Concat(cfg.Env, w.row.env)
	if w.row.stuck {
		cfg.Output.Logger = slog.New(stuckRecords{cfg.Output.Logger.Handler(), w.over})
	}
	if w.attacked, err = mp.NewPool(cfg); err != nil {
		return err
	}
	return errors.Join(w.other.Ready(ctx), w.attacked.Ready(ctx))
}

func (w *world) makeManager(ctx context.Context) (err error) {
	w.manager, err = manager.Start(ctx, manager.Config{
		Network: "tcp", Address: "127.0.0.1:0", Key: key, Limits: manager.Limits{Bytes: managerBytes},
		Process: mp.ProcessConfig{Env: quickExit, Output: quiet}, Linger: time.Second,
	})
	if err != nil {
		return err
	}
	if w.pool, err = manager.NewDict[string, int](ctx, w.manager); err != nil {
		return err
	}
	if w.ours, err = manager.NewDict[string, int](ctx, w.manager); err != nil {
		return err
	}
	w.theirs, err = manager.NewDict[string, int](ctx, w.manager)
	return err
}

// makeListener serves peers. It answers each number with its double.
func (w *world) makeListener(context.Context) (err error) {
	w.listener, err = connection.Listen[int]("tcp", "127.0.0.1:0", peers())
	if err != nil {
		return err
	}
	w.serving.Go(func() {
		_ = w.listener.Serve(context.Background(), func(ctx context.Context, c *ipc.Conn[int]) {
			for {
				n, err := c.Recv(ctx)
				if err != nil || c.Send(ctx, doubled(n)) != nil {
					return
				}
			}
		})
	})
	return nil
}

// managerBytes is how many bytes the manager may keep.
const managerBytes = 16 << 20

// peers returns the Config of connections.
func peers() connection.Config {
	return connection.Config{Key: key, Logger: slog.New(slog.DiscardHandler)}
}

func (w *world) makeObjects(context.Context) (err error) {
	if w.holders, err = newHolders(); err != nil {
		return err
	}
	if w.silent, err = newSilentPeer(); err != nil {
		return err
	}
	if w.in, err = ipc.NewQueue[int](ipc.Isolated()); err != nil {
		return err
	}

	if w.out, err = ipc.NewQueue[int](ipc.Isolated()); err != nil {
		return err
	}
	if w.counted.Mutex, err = ipc.NewMutex(ipc.Isolated()); err != nil {
		return err
	}
	if w.counted.Value, err = ipc.NewValue(0, ipc.Isolated()); err != nil {
		return err
	}
	if w.sibling, err = ipc.NewValue(siblingValue); err != nil {
		return err
	}
	w.given, err = newGiven(w.row.gives)
	return err
}

// siblingValue is a value that noise is unlikely to equal.
const siblingValue = 1_234_567_890

// makeBystanders creates the bystanders.
func (w *world) makeBystanders() {
	w.bystanders = slices.Concat(callers("the attacked pool", w.attacked, true), callers("another pool", w.other, false), []*bystander{
		{name: "a manager, by the attacked pool", attacked: true, round: w.rememberBy(w.attacked, w.pool, "a")},
		{name: "a manager, by another pool", round: w.rememberBy(w.other, w.ours, "o")},
		{name: "a manager, by main", round: func(ctx context.Context, n int) error {
			if err := w.ours.Set(ctx, "main", n); err != nil {
				return err
			}
			got, _, err := w.ours.Get(ctx, "main")
			return check(got, n, err)
		}},
		{name: "a queue", round: w.queueRound},
		{name: "a lock", round: w.lockRound},
		{name: "a connection", round: w.peerRound, every: 5 * pace},
	})

	if w.row.alone {
		w.bystanders = slices.DeleteFunc(w.bystanders, func(b *bystander) bool { return b.attacked })
	}
}

func (w *world) rememberBy(pool *mp.Pool, d *manager.Dict[string, int], name string) func(context.Context, int) error {
	return func(ctx context.Context, n int) error {
		got, err := mp.Call(ctx, pool, remember, remembered{d, name, n})
		return check(got, doubled(n), err)
	}
}

func (w *world) queueRound(ctx context.Context, n int) error {
	if err := w.in.Put(ctx, n); err != nil {
		return err
	}
	got, err := mp.Call(ctx, w.other, relay, relayed{w.in, w.out})
	if err := check(got, n, err); err != nil {
		return err
	}
	got, err = w.out.Get(ctx)
	return check(got, doubled(n), err)
}

// lockRound increments the counter in a worker and here. No increment may be lost.
func (w *world) lockRound(ctx context.Context, _ int) error {
	w.counts++
	got, err := mp.Call(ctx, w.other, count, w.counted)
	if err := check(got, w.counts, err); err != nil {
		return err
	}
	if err := w.counted.Mutex.Lock(ctx); err != nil {
		return err
	}
	w.counts++
	err = w.counted.Value.Update(ctx, func(v *int) error { *v++; got = *v; return nil })
	return errors.Join(check(got, w.counts, err), w.counted.Mutex.Unlock())
}

func (w *world) peerRound(ctx context.Context, n int) error {
	c, err := connection.Dial[int](ctx, "tcp", w.listener.Addr().String(), peers())
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Send(ctx, n); err != nil {
		return err
	}
	got, err := c.Recv(ctx)
	return check(got, doubled(n), err)
}
