package task

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp/internal/errtree"
)

// run calls Run on a goroutine of its own, because Run may end the goroutine.
func run(t *testing.T, h Handler) (kind uint8, data []byte, returned, exited bool) {
	t.Helper()
	buf := append(make([]byte, 0, 64), "prefix"...)
	var wg sync.WaitGroup
	wg.Go(func() {
		exited = true // unless Run returns
		kind, data = Run(context.Background(), h, []byte("in"), buf)
		returned, exited = true, false
	})
	wg.Wait()
	return kind, data, returned, exited
}

func cut(t *testing.T, data []byte) []byte {
	t.Helper()
	rest, ok := bytes.CutPrefix(data, []byte("prefix"))
	if !ok {
		t.Fatalf("what was in the buffer is gone: %q", data)
	}
	return rest
}

func TestResult(t *testing.T) {
	kind, data, returned, exited := run(t, func(_ context.Context, in, out []byte) ([]byte, error) {
		return append(append(out, in...), "+out"...), nil
	})
	if kind != OK || string(data) != "prefixin+out" || !returned || exited {
		t.Errorf("%d %q %v %v", kind, data, returned, exited)
	}
}

func TestError(t *testing.T) {
	kind, data, returned, exited := run(t, func(_ context.Context, _, out []byte) ([]byte, error) {
		return append(out, "half a result"...), fmt.Errorf("sorry: %w", io.EOF)
	})
	if kind != Failed || !returned || exited {
		t.Fatalf("%d %v %v", kind, returned, exited)
	}
	if err := errtree.Decode(cut(t, data)); !errors.Is(err, io.EOF) || err.Error() != "sorry: EOF" {
		t.Error(err)
	}
	kind, data, _, _ = run(t, func(context.Context, []byte, []byte) ([]byte, error) { return nil, io.ErrClosedPipe })
	if kind != Failed || errtree.Decode(cut(t, data)) != io.ErrClosedPipe {
		t.Errorf("%d %q", kind, data)
	}
}

type (
	loudError   struct{} // panics in Error
	loudText    struct{} // panics in String
	customError struct{ Code int }
)

func (loudError) Error() string      { panic("in Error") }
func (loudText) String() string      { panic("in String") }
func (e *customError) Error() string { return fmt.Sprint("code ", e.Code) }

func TestPanics(t *testing.T) {
	var nilMap map[string]int
	var nilPtr *customError
	for name, c := range map[string]struct {
		f     func()
		text  string
		isErr error // if not nil, the panic's value is an error that matches isErr
	}{
		"string":          {func() { panic("boom") }, "boom", nil},
		"int":             {func() { panic(42) }, "42", nil},
		"error":           {func() { panic(fmt.Errorf("wrapped %w", io.EOF)) }, "wrapped EOF", io.EOF},
		"sentinel":        {func() { panic(context.Canceled) }, "context canceled", context.Canceled},
		"nil":             {func() { panic(nil) }, "nil", new(runtime.PanicNilError)},
		"nil map":         {func() { nilMap["a"] = 1 }, "nil map", nil},
		"nil dereference": {func() { nilPtr.Code++ }, "nil pointer", nil},
		"index":           {func() { _ = []int{}[len(nilMap)] }, "out of range", nil},
		"type assertion":  {func() { _ = any(1).(string) }, "interface conversion", nil},
		"loud error":      {func() { panic(loudError{}) }, "in Error", nil},
		"loud text":       {func() { panic(loudText{}) }, "in String", nil},
		"nil error":       {func() { panic((*customError)(nil)) }, "nil", nil},
		"uncomparable":    {func() { panic([]any{1, func() {}}) }, "[1 ", nil},
		"twice":           {func() { defer func() { panic("second") }(); panic("first") }, "second", nil},
		"bad text":        {func() { panic("\xff\x00") }, "\xff\x00", nil},
	} {
		kind, data, returned, exited := run(t, func(context.Context, []byte, []byte) ([]byte, error) { c.f(); return nil, nil })
		if kind != Panicked || !returned || exited {
			t.Errorf("%s: %d %v %v", name, kind, returned, exited)
			continue
		}

		p, err := ParsePanic(cut(t, data))
		if err != nil || !strings.Contains(p.Text, c.text) {
			t.Errorf("%s: %v, %q", name, err, p.Text)
		}

		if !strings.Contains(p.Stack, "task_test.go") {
			t.Errorf("%s: the stack does not lead here:\n%s", name, p.Stack)
		}
		if c.isErr == nil {
			continue
		}

		if len(p.Err) == 0 {
			t.Errorf("%s: no error", name)
		} else if got := errtree.Decode(p.Err); !errors.Is(got, c.isErr) && got.Error() != c.isErr.Error() {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestErrorThatPanics(t *testing.T) {
	for _, bad := range []error{loudError{}, fmt.Errorf("in: %w", loudError{}), errors.Join(io.EOF, loudPtr()), loudPtr()} {
		kind, data, returned, _ := run(t, func(context.Context, []byte, []byte) ([]byte, error) { return nil, bad })
		if kind != Failed || !returned {
			t.Errorf("%T: %d %v", bad, kind, returned)
			continue
		}
		if got := errtree.Decode(cut(t, data)); got == nil || got.Error() == "" {
			t.Errorf("%T: %v", bad, got)
		}
	}
}

func loudPtr() error { return (*customError)(nil) }

func TestGoexit(t *testing.T) {
	for name, f := range map[string]func(){
		"plain":              runtime.Goexit,
		"in a deferred":      func() { defer runtime.Goexit() },
		"instead of a panic": func() { defer runtime.Goexit(); panic("lost") },
		"recovered before":   func() { defer func() { _ = recover(); runtime.Goexit() }(); panic("x") },
	} {
		_, _, returned, exited := run(t, func(context.Context, []byte, []byte) ([]byte, error) { f(); return nil, nil })
		if returned || !exited {
			t.Errorf("%s: returned %v, exited %v", name, returned, exited)
		}
	}
}

func TestParsePanicOfGarbage(t *testing.T) {
	for _, data := range [][]byte{nil, {}, {0xff}, {0x01}, {0x9a, 0xff, 0xff, 0xff, 0xff}} {
		if p, err := ParsePanic(data); err == nil {
			t.Errorf("% x is %+v", data, p)
		}
	}
}

func newContext() *Context { return new(Contexts).New(Info{ID: 7, Attempt: 2, Worker: 3, Seq: 9}) }

func done(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return true
	default:
		return false
	}
}

func TestContextEnds(t *testing.T) {
	before := len(observed.tasks)
	for _, early := range []bool{false, true} { // the context is used before the end
		c := newContext()
		if early && (done(c) || c.Err() != nil) {
			t.Fatal("over before its end")
		}

		c.Cancel(context.Canceled)
		c.Cancel(context.Canceled)
		if !done(c) || c.Err() != context.Canceled || context.Cause(c) != context.Canceled {
			t.Errorf("looked %v: %v, %v, %v", early, done(c), c.Err(), context.Cause(c))
		}
		if _, ok := c.Deadline(); ok {
			t.Error("a deadline")
		}
	}

	if len(observed.tasks) != before {
		t.Errorf("%d contexts are kept", len(observed.tasks)-before)
	}
}

// A cancellation by number reaches the task with that number, whether or not the task has used its
// context. It reaches no other task.
func TestCancelRunning(t *testing.T) {
	var all Contexts
	before, other := all.New(Info{Seq: 41}), all.New(Info{Seq: 42})
	early := before.Done()
	CancelRunning(41, context.DeadlineExceeded)
	<-early
	later := all.New(Info{Seq: 41})
	if !done(before) || !done(later) || done(other) {
		t.Errorf("%v, %v, %v", done(before), done(later), done(other))
	}

	child, cancel := context.WithCancel(before)
	defer cancel()
	for _, c := range []context.Context{before, later, child} {
		if c.Err() != context.DeadlineExceeded || context.Cause(c) != context.DeadlineExceeded {
			t.Errorf("%v, because of %v", c.Err(), context.Cause(c))
		}
	}

	for _, c := range []*Context{before, later, other} {
		c.Cancel(context.Canceled)
	}
}

func TestContextValues(t *testing.T) {
	c := newContext()
	type key struct{}
	child := context.WithValue(c, key{}, "v")
	grandchild, cancel := context.WithTimeout(child, time.Hour)
	defer cancel()

	for _, ctx := range []context.Context{c, child, grandchild, context.WithoutCancel(c)} {
		if i, ok := InfoFrom(ctx); !ok || i != (Info{ID: 7, Seq: 9, Worker: 3, Attempt: 2}) {
			t.Errorf("%v, %v", i, ok)
		}
	}

	if grandchild.Value(key{}) != "v" || c.Value(key{}) != nil {
		t.Error("values")
	}
	if _, ok := InfoFrom(context.Background()); ok {
		t.Error("the background is a task")
	}
	if c.info.ID != 7 {
		t.Error("Info")
	}
}

func TestDerivedContexts(t *testing.T) {
	before := runtime.NumGoroutine()
	c := newContext()
	child, cancel := context.WithCancel(c)
	defer cancel()
	timed, cancelTimed := context.WithTimeout(c, time.Hour)
	defer cancelTimed()
	grand, cancelGrand := context.WithCancelCause(timed)
	defer cancelGrand(nil)
	ran := make(chan struct{})
	context.AfterFunc(c, func() { close(ran) })
	stop := context.AfterFunc(c, func() { t.Error("ran after it was stopped") })
	if !stop() {
		t.Error("could not be stopped")
	}

	free, cancelFree := context.WithCancel(context.WithoutCancel(c))
	defer cancelFree()
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("deriving contexts started %d goroutines", after-before)
	}

	c.Cancel(context.Canceled)
	for _, ctx := range []context.Context{child, timed, grand} {
		<-ctx.Done()
		if ctx.Err() != context.Canceled || context.Cause(ctx) != context.Canceled {
			t.Errorf("%v, %v", ctx.Err(), context.Cause(ctx))
		}
	}
	<-ran
	if free.Err() != nil {
		t.Error("a context without cancel was cancelled")
	}

	late := make(chan struct{})
	context.AfterFunc(c, func() { close(late) })
	<-late
}

// A goroutine that a task has left behind sees the task's end. Cancelling a child context does not
// cancel the task.
func TestChildrenDoNotCancelTheTask(t *testing.T) {
	c := newContext()
	child, cancel := context.WithCancel(c)
	cancel()
	if c.Err() != nil || child.Err() == nil {
		t.Error("a child's cancel went up")
	}
	seen := make(chan error)
	go func() {
		<-c.Done()
		seen <- c.Err()
	}()
	c.Cancel(context.Canceled)
	if err := <-seen; err != context.Canceled {
		t.Error(err)
	}
}

func TestContextsCostOneBlock(t *testing.T) {
	var cs Contexts
	var last *Context
	if n := testing.AllocsPerRun(1280, func() {
		last = cs.New(Info{ID: 1})
		last.Cancel(context.Canceled)
	}); n > 0.1 {
		t.Errorf("%v allocations for a context", n)
	}

	_ = last
	seen := map[*Context]bool{}
	for i := range 1000 {
		c := cs.New(Info{ID: uint64(i)})
		if seen[c] || c.Err() != nil || c.info.ID != uint64(i) {
			t.Fatalf("context %d is not fresh", i)
		}

		seen[c] = true
		c.Cancel(context.Canceled)
	}
}

// Cancel may run at the same time as any use of the context.
func TestContextRaces(t *testing.T) {
	var cs Contexts
	for range 2000 {
		c := cs.New(Info{ID: 5})
		var wg sync.WaitGroup
		var first, second <-chan struct{}
		wg.Go(func() { c.Cancel(context.Canceled) })
		wg.Go(func() { first = c.Done(); <-first })
		wg.Go(func() { second = c.Done(); <-second })
		wg.Go(func() { _ = c.Err(); _, _ = InfoFrom(c) })
		wg.Go(func() {
			child, cancel := context.WithCancel(c)
			<-child.Done()
			cancel()
		})

		wg.Go(func() { c.Cancel(context.Canceled) })
		wg.Wait()
		if first != second {
			t.Fatal("two Done channels")
		}

		if c.Err() != context.Canceled {
			t.Fatal(c.Err())
		}
	}
}

// A worker's task is over once its outcome is committed, whatever uses the context first.
func TestCommittedContextIsOver(t *testing.T) {
	var committed atomic.Uint64
	Committed = &committed
	defer func() { Committed = nil }()
	before := len(observed.tasks)
	var cs Contexts
	late := cs.New(Info{Seq: 1})
	late.End()
	committed.Add(8)
	late.End()
	first := late.Done()
	if !done(late) || late.Err() != context.Canceled || late.Done() != first {
		t.Error("a look after the end finds the task running")
	}

	for seq := range uint32(2000) {
		c := cs.New(Info{Seq: seq + 2})
		if seq%2 == 0 && done(c) {
			t.Fatal("over before its end")
		}

		var wg sync.WaitGroup
		wg.Go(func() { <-c.Done() })
		wg.Go(func() {
			c.End()
			committed.Add(8)
			c.End()
		})
		wg.Wait()
	}

	if kept := len(observed.tasks) - before; kept != 0 {
		t.Errorf("%d contexts are kept", kept)
	}
}
