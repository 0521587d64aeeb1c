//go:build linux

package mp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

// The user's own code in this process, in handlers, writers and callbacks, harms no other code.

type handlerFunc func(slog.Record)

func (handlerFunc) Enabled(context.Context, slog.Level) bool { return true }
func (h handlerFunc) Handle(_ context.Context, r slog.Record) error {
	h(r)
	return nil
}
func (h handlerFunc) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h handlerFunc) WithGroup(string) slog.Handler      { return h }

func TestTroublesomeLogHandlers(t *testing.T) {
	for _, name := range []string{"blocks", "panics", "closes the pool", "ends its goroutine"} {
		t.Run(name, func(t *testing.T) {
			var pool *mp.Pool
			block, called := make(chan struct{}), make(chan struct{}, 100)
			made := make(chan struct{})
			h := handlerFunc(func(slog.Record) {
				called <- struct{}{}
				switch name {
				case "blocks":
					<-block
				case "panics":
					panic("in a handler, on purpose")
				case "closes the pool":
					<-made
					_ = pool.Close()
				case "ends its goroutine":
					runtime.Goexit()
				}
			})

			pool = newPool(t, mp.PoolConfig{Workers: 1, Output: mp.Output{Logger: slog.New(h), Stdout: io.Discard, Stderr: io.Discard}})
			close(made)
			for range 3 {
				if _, err := mp.Call(t.Context(), pool, say, "x"); err != nil && name != "closes the pool" {
					t.Fatal(err)
				}
			}

			<-called
			if name == "panics" || name == "ends its goroutine" {
				<-called // the goroutine continues with the next one
			}
			if err := pool.Close(); err != nil {
				t.Error(err)
			}

			close(block)
		})
	}
}

type writerFunc func([]byte) (int, error)

func (w writerFunc) Write(b []byte) (int, error) { return w(b) }

// Writers that are not comparable, and writers that panic.
func TestTroublesomeWriters(t *testing.T) {
	var wrote atomic.Int64
	w := writerFunc(func(b []byte) (int, error) {
		wrote.Add(1)
		panic("in a writer, on purpose")
	})
	pool := newPool(t, mp.PoolConfig{Workers: 1, Output: mp.Output{Stdout: w, Stderr: w}})
	if _, err := mp.Call(t.Context(), pool, say, "x"); err != nil {
		t.Fatal(err)
	}
	if err := pool.Close(); err != nil {
		t.Fatal(err)
	}
	if wrote.Load() == 0 {
		t.Error("nothing was written")
	}
}

// F6: a callback that ends its goroutine, as a failing test does, delays neither the other
// callbacks nor the result. In a callback the outcome is known.
func TestGoexitInCallback(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	open, name := newFIFO(t)
	first := mp.Submit(t.Context(), pool, wait, waiting{FIFO: name, Heed: true})
	f := mp.Submit(t.Context(), pool, square, 3)
	second := make(chan string, 1)
	f.OnDone(func(int, error) { runtime.Goexit() })
	f.OnDone(func(int, error) { second <- fmt.Sprintf("%v %v", f.State(), f.Cancel()) })
	end := open()
	first.Cancel()
	if v, err := f.Result(t.Context()); v != 9 || err != nil {
		t.Errorf("%d, %v", v, err)
	}
	if got := <-second; got != "succeeded false" {
		t.Errorf("in the callback: %s", got)
	}

	end()
}

// A future has no error before its result is handed out, even if callbacks already know the error.
func TestNoErrorBeforeTheResult(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	open, name := newFIFO(t)
	first := mp.Submit(t.Context(), pool, wait, waiting{FIFO: name, Heed: true})
	f := mp.Submit(t.Context(), pool, fails, 0)
	early := make(chan error, 1)
	f.OnDone(func(int, error) { early <- f.Err() })
	end := open()
	first.Cancel()
	<-f.Done()
	if err := <-early; err != nil {
		t.Errorf("in the callback: %v", err)
	}
	if f.Err() == nil {
		t.Error("there is no error")
	}

	end()
}

var (
	cancelCaller context.CancelFunc
	bothRun      chan struct{}
)

var fails = mp.Register("fails", func(context.Context, int) (int, error) { return 0, errEmpty })

var failThenCancel = mp.Register("failThenCancel", func(ctx context.Context, i int) (int, error) {
	if i == 0 {
		<-bothRun // otherwise the other one would not start
		return 0, errors.New("on purpose")
	}
	close(bothRun)
	<-ctx.Done()
	cancelCaller()
	return 0, ctx.Err()
})

// The error that ended a Map stays its error, even if its context ends while the remaining tasks
// do.
func TestFirstErrorStays(t *testing.T) {
	inline := must(mp.NewInline(mp.InlineConfig{Workers: 2}))
	defer inline.Close()
	var ctx context.Context
	ctx, cancelCaller = context.WithCancel(t.Context())
	bothRun = make(chan struct{})
	_, err := mp.Map(ctx, inline, failThenCancel, []int{0, 1})
	var first *mp.ElementError
	if !errors.As(err, &first) || first.Index != 0 || ctx.Err() == nil {
		t.Errorf("%v, %v", err, ctx.Err())
	}
}

// A context that outlives its tasks keeps nothing of them.
func TestLongContextsHoldNothing(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1, Backlog: 1})
	inline, err := mp.NewInline(mp.InlineConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer inline.Close()
	inner, cancel := context.WithCancel(t.Context())
	defer cancel()
	ctx := &counted{Context: inner}
	for _, ex := range []mp.Executor{pool, inline} {
		var fs []*mp.Future[int]
		for i := range 50 {
			fs = append(fs, mp.Submit(ctx, ex, square, i))
		}

		for i, f := range fs {
			if v, err := f.Result(t.Context()); v != i*i || err != nil {
				t.Fatal(v, err)
			}
		}
	}

	if err := inline.Close(); err != nil {
		t.Fatal(err)
	}
	if ctx.watched.Load() != ctx.left.Load() {
		t.Errorf("watched %d times, left %d times", ctx.watched.Load(), ctx.left.Load())
	}
}

// An idle pool does not keep the last large message.
func TestLargeMessagesAreNotKept(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	const size = 64 << 20
	before := heapSize()
	if b, err := mp.Call(t.Context(), pool, blobOut, size); len(b) != size || err != nil {
		t.Fatal(len(b), err)
	}

	if n, err := mp.Call(t.Context(), pool, blobIn, make([]byte, size)); n != size || err != nil {
		t.Fatal(n, err)
	}
	if now := heapSize(); now > before+size/2 {
		t.Errorf("%d MiB are kept here", (now-before)>>20)
	}
	// The worker drops the argument when it looks for the next task.
	if n, err := mp.Call(t.Context(), pool, heapThere, 0); n > size/2 || err != nil {
		t.Errorf("%d MiB are kept in the worker, %v", n>>20, err)
	}
}

var heapThere = mp.Register("heapThere", func(context.Context, int) (uint64, error) { return heapSize(), nil })

func heapSize() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestHugeChunkSize(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 2})
	few := []int{0, 1, 2, 3, 4, 5, 6, 7}
	for range 100 {
		if got, err := mp.MapAsync(t.Context(), pool, square, few, mp.ChunkSize(math.MaxInt)).Result(t.Context()); len(got) != 8 || err != nil {
			t.Fatal(got, err)
		}
	}

	n := 0
	for v, err := range mp.Stream(t.Context(), pool, square, slices.Values(few), mp.ChunkSize(math.MaxInt)) {
		if v != n*n || err != nil {
			t.Fatal(v, err)
		}
		n++
	}
	if n != 8 {
		t.Errorf("%d results", n)
	}
}

func TestEnvironmentIsReplaced(t *testing.T) {
	t.Setenv("MP_TEST_COLOUR", "red")
	pool := newPool(t, mp.PoolConfig{Workers: 1, Env: []string{"MP_TEST_COLOUR=green", "MP_TEST_COLOUR=blue"}})
	if got, err := mp.Call(t.Context(), pool, environ, "MP_TEST_COLOUR"); !strings.HasPrefix(got, "blue ") || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// E15: if every worker ends by itself soon and without a task, the pool starts new ones a few
// times, not forever. The error says why.
func TestWorkersThatEndByThemselves(t *testing.T) {
	gaveUp := make(chan string, 1)
	h := handlerFunc(func(r slog.Record) { gaveUp <- r.Message })
	pool := newPool(t, mp.PoolConfig{Workers: 1, Setup: endSoon.With(0), Output: mp.Output{Stderr: io.Discard, Logger: slog.New(h)}})
	if got := <-gaveUp; !strings.Contains(got, "cannot be started") {
		t.Error(got)
	}
	_, err := mp.Call(t.Context(), pool, square, 3)
	var start *mp.StartError
	if !errors.As(err, &start) || !strings.Contains(err.Error(), "without a task, exit code 4") {
		t.Errorf("got %v", err)
	}
}

var endSoon = mp.Register("endSoon", func(context.Context, int) (int, error) {
	time.AfterFunc(30*time.Millisecond, func() { os.Exit(4) })
	return 0, nil
})

// A worker that is killed while it receives a chunk of large elements costs one element.
func TestDeathAmidLargeElements(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 2})
	in := make([][]byte, 60)
	for i := range in {
		in[i] = make([]byte, 200<<10)
	}
	in[20] = append([]byte("die"), in[20]...)
	_, err := mp.Map(t.Context(), pool, blobDie, in, mp.ChunkSize(10), mp.AllErrors())
	var es mp.ElementErrors
	if !errors.As(err, &es) || len(es) != 1 || es[0].Index != 20 {
		t.Errorf("got %v", err)
	}
}

var blobDie = mp.Register("blobDie", func(_ context.Context, b []byte) (int, error) {
	if bytes.HasPrefix(b, []byte("die")) {
		return 0, dieBy("SIGKILL")
	}
	return len(b), nil
})

// madeEarly tries to create shared objects before Init, when no other process could get them.
var madeEarly = func() error {
	if !mp.IsWorker() {
		return nil
	}
	_, err := ipc.NewMutex()
	_, err2 := ipc.NewQueue[int]()
	_, _, err3 := ipc.NewPipe[int]()
	if err == nil || err2 == nil || err3 == nil {
		return fmt.Errorf("made: %w, %w, %w", err, err2, err3)
	}
	return err2
}()

var sayMadeEarly = mp.Register("sayMadeEarly", func(context.Context, struct{}) (string, error) {
	if madeEarly == nil {
		return "", errors.New("it was made")
	}
	return madeEarly.Error(), nil
})

func TestMadeBeforeInit(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	if why, err := mp.Call(t.Context(), pool, sayMadeEarly, struct{}{}); !strings.Contains(why, "made in a worker before Init") || err != nil {
		t.Errorf("%q, %v", why, err)
	}
}

// onlyHere is missing in workers, although they are the same program.
var onlyHere *mp.Func[int, int]

func init() {
	if !mp.IsWorker() {
		onlyHere = mp.Register("onlyHere", func(_ context.Context, n int) (int, error) { return n, nil })
	}
}

var panicInLines = mp.Register("panicInLines", func(context.Context, int) (int, error) { panic("first\nsecond") })

// Errors name the function.
func TestErrorsNameTheFunction(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	_, err := mp.Call(t.Context(), pool, onlyHere, 1)
	if err == nil || !strings.Contains(err.Error(), "has not registered "+onlyHere.Name()) {
		t.Errorf("a function that workers lack: %v", err)
	}

	inline := must(mp.NewInline(mp.InlineConfig{}))
	defer inline.Close()
	for _, ex := range []mp.Executor{pool, inline} {
		_, err = mp.Call(t.Context(), ex, panicInLines, 1)
		var p *mp.PanicError
		if want := "mp: panic in " + panicInLines.Name() + ": first …"; !errors.As(err, &p) || err.Error() != want || p.Value != "first\nsecond" {
			t.Errorf("%v, not %s", err, want)
		}
	}

	_, err = mp.Call(t.Context(), pool, die, "exit 3")
	var w *mp.WorkerError
	if !errors.As(err, &w) || w.Func != die.Name() || !strings.Contains(err.Error(), "died while running "+die.Name()) {
		t.Errorf("%v", err)
	}
}

// A nosy error asks its pool in each of its methods, as a cause that logs itself may do.
type nosy struct{ pool *mp.Pool }

func (n nosy) Error() string {
	_ = n.pool.Stats()
	return "nosy"
}

func (n nosy) Is(error) bool {
	_ = n.pool.Stats()
	return false
}

func (n nosy) Unwrap() error {
	_ = n.pool.Stats()
	return nil
}

// The pool holds no lock while it calls the methods of a cancellation's cause.
func TestCauseThatAsksThePool(t *testing.T) {
	for _, debug := range []string{"", "trace"} {
		t.Run("MPDEBUG="+debug, func(t *testing.T) {
			t.Setenv("MPDEBUG", debug)
			pool, err := mp.NewPool(mp.PoolConfig{Workers: 1, Grace: time.Millisecond, Output: mp.Output{Logger: slog.New(slog.DiscardHandler)}})
			if err != nil {
				t.Fatal(err)
			}

			ctx, cancel := context.WithCancelCause(t.Context())
			open, name := newFIFO(t)
			stubborn := mp.Submit(ctx, pool, wait, waiting{FIFO: name}, mp.Retries(1))
			end := open()
			defer end()
			waits := mp.Submit(ctx, pool, square, 2)
			cancel(nosy{pool})

			within(t, never, "the pool", func() {
				var died *mp.WorkerError
				if _, err := stubborn.Result(t.Context()); !errors.As(err, &died) {
					t.Errorf("the running task: %v", err)
				}
				if _, err := waits.Result(t.Context()); err == nil {
					t.Error("the waiting task has run")
				}
				if n, err := mp.Call(t.Context(), pool, square, 3); n != 9 || err != nil {
					t.Errorf("afterwards: %d, %v", n, err)
				}
				if ends := pool.Stats().Ends; len(ends) != 1 || !strings.Contains(ends[0].Why, "nosy") {
					t.Errorf("the ends are %v", ends)
				}
				if err := pool.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
