//go:build linux

package pool_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/pool"
	"github.com/go-multiprocessing/mp/internal/spawn"
	"github.com/go-multiprocessing/mp/internal/worker"
	"github.com/go-multiprocessing/mp/mptest"
)

const (
	helperVar = "CREW_TEST_HELPER" // how the worker misbehaves; "honest" if it does not
	onceVar   = "CREW_TEST_ONCE"   // a file that marks that a worker has misbehaved
	notesVar  = "CREW_TEST_NOTES"  // a file in which tasks record that they run
)

func TestMain(m *testing.M) {
	if what := os.Getenv(helperVar); what != "" && spawn.IsWorker() {
		os.Exit(help(what))
	}
	mptest.Main(m)
}

// help runs the worker.
func help(what string) int {
	if what != "honest" && first() {
		misbehave(what)
	}
	return worker.Serve(worker.Program{Functions: functions(), Start: func(link.Config, func([]byte) error) *slog.Logger { return nil }})
}

// first reports whether this worker is the first to call first.
func first() bool {
	name := os.Getenv(onceVar)
	if name == "" {
		return true
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL, 0o600)
	_ = f.Close()
	return err == nil
}

var ids = []link.FuncID{{Name: "echo", In: 1, Out: 1}, {Name: "task", In: 2, Out: 2}}

func functions() []worker.Function {
	return []worker.Function{
		{ID: ids[0], Run: func(_ context.Context, in, out []byte) ([]byte, error) { return append(out, in...), nil }},
		{ID: ids[1], Run: task},
	}
}

// These constants say what a task does after it has recorded its number.
const (
	doReturn = iota
	doEcho
	doFail
	doPanic
	doWait
	doIgnore
	doDie
	doKinds
)

func task(ctx context.Context, in, out []byte) ([]byte, error) {
	fd, err := unix.Open(os.Getenv(notesVar), unix.O_WRONLY|unix.O_APPEND|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}

	// The note must come from resident memory. The argument is in the segment and may extend into a
	// page that must be fetched first; a kill at that moment would cut the note in two.
	var note [8]byte
	copy(note[:], in)
	_, err = unix.Write(fd, note[:])
	_ = unix.Close(fd)
	if err != nil {
		return nil, err
	}

	switch in[8] {
	case doEcho:
		return append(out, in...), nil
	case doFail:
		return nil, errors.New("on purpose")
	case doPanic:
		panic("on purpose")
	case doWait:
		<-ctx.Done()
		return nil, ctx.Err()
	case doIgnore:
		select {}
	case doDie:
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return append(out, in[:8]...), nil
}

// config returns the configuration of a pool of n workers.
func config(t testing.TB, what string, n int) pool.Config {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "CREW_TEST_") })
	dir := t.TempDir()
	notes := dir + "/notes"
	if err := os.WriteFile(notes, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	return pool.Config{
		Workers: n, Args: []string{"worker"},
		Env:    append(env, helperVar+"="+what, onceVar+"="+dir+"/once", notesVar+"="+notes, "GORACE=atexit_sleep_ms=0"),
		Dir:    dir,
		Link:   link.Config{Procs: 1, MaxMessage: 1 << 30},
		Stdout: io.Discard, Stderr: io.Discard,
		OnLog:   func(int, int, []byte) {},
		OnFail:  func(data []byte) error { return errors.New(string(data)) },
		Funcs:   ids,
		Backlog: 100,
		Grace:   250 * time.Millisecond,
		Missing: func(function string) error { return errors.New("no function " + function) },
		TooLong: func(string, int) error { return errors.New("too large") },
		Failure: func(_ string, kind uint8, _ []byte) error { return outcome(kind) },
		Death:   func(err error) error { return err },
	}
}

// outcome is the error of a task that did not return a result.
type outcome uint8

func (o outcome) Error() string { return fmt.Sprint("outcome ", uint8(o)) }

// start starts a pool. When the test ends, the pool is closed, and a check makes sure that the pool
// has left nothing behind.
func start(t testing.TB, cfg pool.Config) *pool.Pool {
	t.Helper()
	mptest.NoLeaks(t)
	p, err := pool.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { within(t, "Close returns", func() { _ = p.Close() }) })
	return p
}

// never is the time after which a test counts as hung.
const never = 20 * time.Second

// within fails the test if f does not return in time.
func within(t testing.TB, what string, f func()) bool {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
		return true
	case <-time.After(never):
		t.Errorf("in vain: %s", what)
		return false
	}
}

// until polls for a state that is not announced.
func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(never); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("in vain: ", what)
		}
	}
}

// batch is a Batch that counts how often each element is settled.
type batch struct {
	in      [][]byte
	mu      sync.Mutex
	settled []int
	out     [][]byte
	errs    []error
	left    int
	done    chan struct{}
}

func newBatch(in ...[]byte) *batch {
	n := len(in)
	return &batch{in: in, settled: make([]int, n), out: make([][]byte, n), errs: make([]error, n), left: n, done: make(chan struct{})}
}

func (b *batch) Len() int { return len(b.in) }

// Encode encodes elements until the buffer is full, as mp does.
func (b *batch) Encode(buf []byte, lo, hi int) ([]byte, int, error) {
	n := 0
	for _, in := range b.in[lo:hi] {
		if n > 0 && len(buf)+4+len(in) > cap(buf) {
			break
		}
		buf = binary.LittleEndian.AppendUint32(buf, uint32(len(in)))
		buf = append(buf, in...)
		n++
	}
	return buf, n, nil
}

func (b *batch) Settle(i int, result []byte, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.settled[i]++
	b.out[i], b.errs[i] = slices.Clone(result), err
	if b.settled[i] == 1 {
		if b.left--; b.left == 0 {
			close(b.done)
		}
	}
}

// wait waits until all elements are settled. It fails the test if that takes too long.
func (b *batch) wait(t testing.TB, what string) bool {
	t.Helper()
	select {
	case <-b.done:
		return true
	case <-time.After(never):
		b.mu.Lock()
		defer b.mu.Unlock()
		t.Errorf("%s: settled %v", what, b.settled)
		return false
	}
}

// execute gives a batch to p on a new goroutine, because Execute may keep a lone caller until the
// caller's task has ended.
func execute(t testing.TB, ctx context.Context, p *pool.Pool, fn string, b *batch, h pool.Hints) (returned chan error) {
	returned = make(chan error, 1)
	go func() { returned <- p.Execute(ctx, fn, b, h) }()
	return returned
}

// works checks that the pool runs tasks.
func works(t testing.TB, p *pool.Pool) {
	t.Helper()
	for _, h := range []pool.Hints{{Prompt: true}, {Chunk: 1}} {
		b := newBatch([]byte("hello"))
		r := execute(t, t.Context(), p, "echo", b, h)
		if !b.wait(t, "the next task") {
			return
		}
		if err := <-r; err != nil || b.errs[0] != nil || string(b.out[0]) != "hello" {
			t.Errorf("the next task: %q, %v, %v", b.out[0], b.errs[0], err)
		}
	}
}

// lone waits until the pool's only worker serves, and returns that worker.
func lone(t testing.TB, p *pool.Pool) (w pool.Info) {
	t.Helper()
	until(t, "a worker", func() bool {
		ws := p.Workers()
		if len(ws) == 1 {
			w = ws[0]
		}
		return len(ws) == 1
	})
	return w
}

// stop stops a worker and returns when it has stopped.
func stop(t testing.TB, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// Waitid reports the stop when all threads have stopped.
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WSTOPPED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
}
