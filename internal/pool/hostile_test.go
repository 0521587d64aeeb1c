//go:build linux

package pool_test

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/pool"
	"github.com/go-multiprocessing/mp/internal/shm"
)

// These are the offsets of the link's words, as a hostile worker knows them. The case "obliging"
// fails if they change.
const (
	taskTail = 0
	resTail  = 128
	marks    = 4096
	resRing  = 32768 + 1<<20
)

// misbehave acts as a hostile worker. If misbehave returns, the worker is honest from then on.
func misbehave(what string) {
	switch what {
	case "before hello: killed":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "before hello: closed, then killed":
		_ = syscall.Close(link.FirstFD)
		_ = os.Symlink(strconv.Itoa(os.Getpid()), os.Getenv(onceVar)+".closed")
		pause()
	case "before hello: exit":
		os.Exit(3)
	case "hello: closed":
		_ = syscall.Close(link.FirstFD)
		pause()
	case "stacks: too many":
		tellTooMuch()
	case "hello: noise":
		_, _ = syscall.Write(link.FirstFD, noise(4096))
		pause()
	case "hello: garbled":
		_, _ = syscall.Write(link.FirstFD, message(1, noise(100)))
		pause()
	case "hello: endless":
		_, _ = syscall.Write(link.FirstFD, message(1, nil)[:8])
		_, _ = syscall.Write(link.FirstFD, []byte{0, 0, 0, 0, 1, 0, 0, 0}) // 4 GiB to come
		_ = syscall.Shutdown(link.FirstFD, syscall.SHUT_WR)
		pause()
	case "setup: noise", "setup: closed", "setup: silence":
		_ = hello()
		switch what {
		case "setup: noise":
			_, _ = syscall.Write(link.FirstFD, noise(4096))
		case "setup: closed":
			_ = syscall.Shutdown(link.FirstFD, syscall.SHUT_RDWR)
		}
		pause()
	}

	mapped, err := syscall.Dup(link.FirstFD + 1)
	if err != nil {
		panic(err)
	}

	mem, err := shm.Map(mapped, link.Size)
	if err != nil {
		panic(err)
	}

	p := hello()
	if err := p.Ready(); err != nil {
		panic(err)
	}

	for word(mem, taskTail).Load() == 0 { // the parent rings only for a port that arms the doorbell
		time.Sleep(100 * time.Microsecond)
	}
	inService(what, mem)
	ring()
	pause()
}

// inService misbehaves after three tasks, numbered from 1, have been sent.
func inService(what string, mem []byte) {
	commit := func(results ...[]byte) {
		n := 0
		for _, r := range results {
			n += copy(mem[resRing+n:], r)
		}
		word(mem, resTail).Store(uint64(n))
	}

	switch what {
	case "obliging": // correct results
		commit(result(8, 1), result(8, 2), result(8, 3))
	case "obliging, without a ring":
		commit(result(8, 1), result(8, 2), result(8, 3))
		pause()
	case "position far ahead":
		word(mem, resTail).Store(1 << 40)
	case "position not aligned":
		word(mem, resTail).Store(13)
	case "position going back":
		word(mem, resTail).Store(^uint64(7))
	case "a result of no task":
		commit(result(8, 77777))
	case "a result of a later task":
		commit(result(8, 2))
	case "a good one and a bad one":
		commit(result(8, 1), result(1<<27, 2))
	case "a result twice":
		commit(result(8, 1), result(8, 1))
	case "a result left out":
		commit(result(8, 1), result(8, 3))
	case "more results than tasks":
		commit(result(8, 1), result(8, 2), result(8, 3), result(8, 4))
	case "a length beyond the end":
		commit(result(1<<28-1, 1))
	case "a bit of a result changed":
		changed := result(8, 2)
		changed[12] ^= 0x10
		commit(result(8, 1), changed, result(8, 3))
	case "all have begun":
		for {
			for i := range 16 {
				word(mem, marks+8*i).Or(0x5555555555555555)
			}
			time.Sleep(time.Millisecond)
		}
	case "the second seems to have begun":
		first := word(mem, taskTail).Load()
		_ = os.Symlink("first", os.Getenv(onceVar)+".first")
		for word(mem, taskTail).Load() == first {
			time.Sleep(100 * time.Microsecond)
		}
		word(mem, marks).Or(0x5555555555555555)
		_ = os.Symlink("marked", os.Getenv(onceVar)+".marked")
		pause()
	case "begun until asked for stacks":
		word(mem, marks).Or(1 << 2) // the first task, whose number is 1
		asked(7)
		word(mem, marks).Or(0x5555555555555555)
		pause()
	case "noise all over":
		for range 20 {
			copy(mem, noise(len(mem)))
			ring()
		}
	case "zeros all over, and dead":
		clear(mem)
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "ones all over":
		for i := range mem {
			mem[i] = 0xff
		}
	case "noise in the marks":
		copy(mem[marks:], noise(8192))
		commit(result(8, 2))
	case "noise on the socket":
		_, _ = syscall.Write(link.FirstFD, noise(4096))
	case "the socket closed":
		_ = syscall.Shutdown(link.FirstFD, syscall.SHUT_RDWR)
	case "the bell closed":
		commit(result(1<<28-1, 1))
		ring()
		_ = syscall.Close(link.FirstFD + 3)
	default:
		panic("what is " + what)
	}
}

func hello() *link.Port {
	p, _, err := link.Open()
	if err != nil {
		panic(err)
	}
	if err := p.Hello(link.Hello{Funcs: ids}); err != nil {
		panic(err)
	}
	return p
}

// asked waits until the parent sends a message of the given kind.
func asked(kind uint32) {
	for {
		var head [16]byte
		for n := 0; n < len(head); {
			k, err := syscall.Read(link.FirstFD, head[n:])
			if err != nil {
				time.Sleep(time.Millisecond)
				continue
			}
			n += k
		}

		if binary.LittleEndian.Uint32(head[:]) == kind {
			return
		}
		rest := make([]byte, binary.LittleEndian.Uint64(head[8:]))
		_, _ = syscall.Read(link.FirstFD, rest)
	}
}

// ring rings the parent's doorbell, whether or not the parent is waiting.
func ring() { _, _ = syscall.Write(link.FirstFD+3, []byte{1}) }

func pause() {
	for {
		_ = syscall.Pause()
	}
}

func word(mem []byte, off int) *atomic.Uint64 { return (*atomic.Uint64)(unsafe.Pointer(&mem[off])) }

// result returns a record that claims to hold n bytes, but holds 8.
func result(n, seq uint32) []byte {
	data := []byte{1, 2, 3, 4, 5, 6, 7, 8}
	b := binary.LittleEndian.AppendUint32(nil, n)
	b = binary.LittleEndian.AppendUint32(b, link.Seal(seq, n, data))
	return append(b, data...)
}

func message(kind uint32, body []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, kind)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(body)))
	return append(b, body...)
}

func noise(n int) []byte {
	r := rand.New(rand.NewPCG(3, 4))
	b := make([]byte, n+8)
	for i := 0; i < n; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], r.Uint64())
	}
	return b[:n]
}

// A serving worker that violates the protocol must be killed and replaced. Each of its tasks must
// be settled once, and later tasks must run.
func TestHostileInService(t *testing.T) {
	for _, what := range []string{
		"position far ahead",
		"position not aligned",
		"position going back",
		"a result of no task",
		"a result of a later task",
		"a good one and a bad one",
		"a result twice",
		"a result left out",
		"more results than tasks",
		"a length beyond the end",
		"a bit of a result changed",
		"noise all over",
		"ones all over",
		"zeros all over, and dead",
		"noise in the marks",
		"noise on the socket",
		"the socket closed",
		"the bell closed",
	} {
		t.Run(what, func(t *testing.T) { hostile(t, what) })
	}
}

func hostile(t *testing.T, what string) {
	p := start(t, config(t, what, 1))
	bad := lone(t, p)
	b := newBatch(make([]byte, 8), make([]byte, 8), make([]byte, 8))
	r := execute(t, t.Context(), p, "echo", b, pool.Hints{Chunk: 3, Prompt: true})
	if !b.wait(t, what) {
		return
	}
	if err := <-r; err != nil {
		t.Error(err)
	}

	for i, n := range b.settled {
		var d *pool.Death
		if n != 1 || b.errs[i] != nil && (!errors.As(b.errs[i], &d) || d.PID != bad.PID) {
			t.Errorf("element %d settled %d times, %v", i, n, b.errs[i])
		}

		// The record of started tasks is destroyed, so no task runs again.
		if strings.Contains(what, "all over") && (d == nil || !errors.Is(d.Cause, pool.ErrProtocol)) {
			t.Errorf("element %d: %v", i, b.errs[i])
		}
	}
	works(t, p)
	if now := lone(t, p); now.PID == bad.PID {
		t.Error("it is still in service")
	}
}

// A worker that has overwritten its marks can seem to run a cancelled task, and is killed for that.
// The worker's other tasks must not end with the cancellation's cause.
func TestKilledForWhatItPretends(t *testing.T) {
	cfg := config(t, "the second seems to have begun", 1)
	p := start(t, cfg)
	ctx, cancel := context.WithCancelCause(t.Context())
	first, second := newBatch(make([]byte, 8)), newBatch(make([]byte, 8))
	returned := execute(t, t.Context(), p, "echo", first, pool.Hints{Chunk: 1})
	if err := <-returned; err != nil {
		t.Fatal(err)
	}

	told := func(what string) {
		until(t, what, func() bool {
			_, err := os.Lstat(cfg.Dir + "/once." + what)
			return err == nil
		})
	}
	told("first")
	if err := <-execute(t, ctx, p, "echo", second, pool.Hints{Chunk: 1}); err != nil {
		t.Fatal(err)
	}

	told("marked")
	why := errors.New("on purpose")
	cancel(why)
	if !first.wait(t, "the first task") || !second.wait(t, "the second task") {
		return
	}
	var d *pool.Death
	if err := first.errs[0]; !errors.As(err, &d) || !errors.Is(d.Cause, pool.ErrProtocol) || errors.Is(d.Cause, why) {
		t.Errorf("the first task: %v", err)
	}
	works(t, p)
}

// A hostile worker that behaves correctly shows that the other cases use the right offsets.
func TestObligingWorker(t *testing.T) {
	p := start(t, config(t, "obliging", 1))
	b := newBatch(make([]byte, 8), make([]byte, 8), make([]byte, 8))
	r := execute(t, t.Context(), p, "echo", b, pool.Hints{Chunk: 3})
	if !b.wait(t, "results by hand") {
		return
	}
	if err := <-r; err != nil || b.errs[2] != nil || b.out[2][7] != 8 {
		t.Errorf("got %v, %v, %v", b.out, b.errs, err)
	}
}

// Results must be found even if the doorbell was not heard: another process that has the descriptor
// may have read the doorbell's byte.
func TestLostRing(t *testing.T) {
	p := start(t, config(t, "obliging, without a ring", 1))
	b := newBatch(make([]byte, 8), make([]byte, 8), make([]byte, 8))
	r := execute(t, t.Context(), p, "echo", b, pool.Hints{Chunk: 3})
	if !b.wait(t, "results without a ring") {
		return
	}
	if err := <-r; err != nil || b.errs[2] != nil || b.out[2][7] != 8 {
		t.Errorf("got %v, %v, %v", b.out, b.errs, err)
	}
}

// If a worker sends nonsense instead of a hello, or ends, New must return an error and leave no
// process behind.
func TestHostileHello(t *testing.T) {
	for _, what := range []string{"before hello: exit", "hello: closed", "hello: noise", "hello: garbled", "hello: endless"} {
		t.Run(what, func(t *testing.T) {
			cfg := config(t, what, 2)
			for i, v := range cfg.Env {
				if strings.HasPrefix(v, onceVar+"=") {
					cfg.Env[i] = onceVar + "=" // misbehave always
				}
			}

			within(t, "New returns", func() {
				p, err := pool.New(cfg)
				var s *pool.StartError
				if err == nil {
					p.Close()
				}
				if !errors.As(err, &s) || !s.Started {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

// A worker that goes silent between its hello and its service must not keep its slot forever.
func TestHostileSetup(t *testing.T) {
	for _, what := range []string{"setup: noise", "setup: closed"} {
		t.Run(what, func(t *testing.T) { works(t, start(t, config(t, what, 1))) })
	}
}

// A Setup that does not return must be logged.
func TestSetupHangs(t *testing.T) {
	t.Cleanup(pool.SetupWarnAfter(time.Millisecond))
	cfg := config(t, "setup: silence", 1)
	out := make(chan string, 1)
	var first sync.Once
	cfg.Logger = slog.New(slog.NewTextHandler(writerFunc(func(b []byte) { first.Do(func() { out <- string(b) }) }), nil))
	start(t, cfg)
	if got := <-out; !strings.Contains(got, "Setup") || !strings.Contains(got, "worker=1") {
		t.Error(got)
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }

// A worker that is killed before its hello must be replaced, because the kernel may have killed it
// when memory was short.
func TestKilledBeforeHello(t *testing.T) {
	t.Run("before it is greeted or later", func(t *testing.T) {
		replacementKilled(t, config(t, "before hello: killed", 1))
	})

	t.Run("dying when it is greeted", func(t *testing.T) {
		cfg := config(t, "before hello: closed, then killed", 1)
		closed := cfg.Dir + "/once.closed"
		starts := 0
		t.Cleanup(pool.BeforeGreeting(func() {
			if starts++; starts == 2 {
				pid := 0
				until(t, "its socket is closed", func() bool {
					name, _ := os.Readlink(closed)
					pid, _ = strconv.Atoi(name)
					return pid > 0
				})
				time.AfterFunc(20*time.Millisecond, func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
			}
		}))
		replacementKilled(t, cfg)
	})
}

// replacementKilled starts an honest worker, and then a worker that ends as cfg says. It checks
// that a third worker takes the slot.
func replacementKilled(t *testing.T, cfg pool.Config) {
	once := cfg.Dir + "/once"
	if err := os.WriteFile(once, nil, 0o600); err != nil { // the first worker is honest
		t.Fatal(err)
	}
	p := start(t, cfg)
	works(t, p)
	_ = os.Remove(once)
	if err := syscall.Kill(lone(t, p).PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "the replacement has been killed", func() bool { _, err := os.Stat(once); return err == nil })
	works(t, p)
}

// stoppedWhileSending stops the worker while a body that is too large for any socket buffer is
// being sent to it.
func stoppedWhileSending(t *testing.T, ctx context.Context, b *batch, h pool.Hints) (p *pool.Pool, pid int, returned chan error) {
	p = start(t, config(t, "honest", 1))
	works(t, p)
	pid = lone(t, p).PID
	stop(t, pid)
	t.Cleanup(func() { // so that nothing hangs if the test fails
		for _, w := range p.Workers() {
			if w.PID == pid {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
	returned = execute(t, ctx, p, "echo", b, h)
	until(t, "a task on its way", func() bool { return lone(t, p).Busy })
	return p, pid, returned
}

func large(n int) *batch {
	in := make([][]byte, n)
	for i := range in {
		in[i] = make([]byte, 1<<20)
	}
	return newBatch(in...)
}

// If a worker dies while a chunk is being sent to it in several parts, the unsent tasks must run on
// another worker.
func TestDeathWhileSending(t *testing.T) {
	b := large(4)
	p, pid, _ := stoppedWhileSending(t, t.Context(), b, pool.Hints{Chunk: 4})
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if b.wait(t, "a chunk of a dead worker") {
		for i, err := range b.errs {
			if err != nil || b.settled[i] != 1 {
				t.Errorf("element %d settled %d times, %v", i, b.settled[i], err)
			}
		}
	}
	works(t, p)
}

// A worker that reads nothing while its send queue is full must be ended, and its tasks must run on
// another worker.
func TestStuckWhileSending(t *testing.T) {
	b := large(4)
	p, pid, _ := stoppedWhileSending(t, t.Context(), b, pool.Hints{Chunk: 4})
	if b.wait(t, "a chunk of a stuck worker") {
		for i, err := range b.errs {
			if err != nil || b.settled[i] != 1 {
				t.Errorf("element %d settled %d times, %v", i, b.settled[i], err)
			}
		}
	}
	works(t, p)
	if now := lone(t, p); now.PID == pid {
		t.Error("it is still in service")
	}
}

// A stopped worker to which only a few messages are in transit must survive and continue.
// Cancelling many of its tasks must not cost one goroutine for each task.
func TestStoppedWorkerSurvives(t *testing.T) {
	cfg := config(t, "honest", 1)
	cfg.Grace = 10 * time.Millisecond
	p := start(t, cfg)
	works(t, p)
	pid := lone(t, p).PID
	stop(t, pid)
	before, most := runtime.NumGoroutine(), 0
	for range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		b := newBatch([]byte("small"))
		r := execute(t, ctx, p, "echo", b, pool.Hints{Chunk: 1})
		if err := <-r; err != nil {
			t.Fatal(err)
		}

		cancel()
		b.wait(t, "a cancelled task")
		most = max(most, runtime.NumGoroutine())
	}
	if most > before+20 {
		t.Errorf("%d goroutines more", most-before)
	}

	time.Sleep(1500 * time.Millisecond) // longer than a worker with a full queue may stop reading
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	works(t, p)
	if now := lone(t, p); now.PID != pid {
		t.Error("it was ended")
	}
}

// If a context ends while a chunk is being sent to a stopped worker, the whole batch must be
// settled, and a lone caller must return.
func TestCancelWhileSending(t *testing.T) {
	for _, c := range []struct {
		name  string
		n     int
		hints pool.Hints
	}{
		{"one", 1, pool.Hints{}},
		{"a lone caller", 1, pool.Hints{Prompt: true}},
		{"a chunk", 4, pool.Hints{Chunk: 4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()

			b := large(c.n)
			_, _, returned := stoppedWhileSending(t, ctx, b, c.hints)
			cancel()
			within(t, "Execute returns", func() { <-returned })
			if !b.wait(t, "a cancelled chunk") {
				return
			}

			for i, err := range b.errs {
				if b.settled[i] != 1 || !errors.Is(err, context.Canceled) {
					t.Errorf("element %d settled %d times, %v", i, b.settled[i], err)
				}
			}
		})
	}
}

// A very large argument whose task is cancelled must not count as in transit forever.
func TestHeavyTaskIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b := newBatch(make([]byte, 40<<20))
	p, pid, returned := stoppedWhileSending(t, ctx, b, pool.Hints{})
	cancel()
	if !b.wait(t, "a cancelled task") {
		return
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	<-returned
	works(t, p)
}
