package mptest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
)

// TestExecutor tests that an executor conforms to the documentation of [mp.Executor]. It calls
// newExecutor for each part of the test. newExecutor must use t.Cleanup to close the executor, and
// the executor should be able to run at least two tasks at once.
func TestExecutor(t *testing.T, newExecutor func(t testing.TB) mp.Executor) {
	for _, part := range []struct {
		name string
		run  func(*testing.T, mp.Executor)
	}{
		{"Call", testCall},
		{"Values", testValues},
		{"MapOrder", testMapOrder},
		{"MapErrors", testMapErrors},
		{"Empty", testEmpty},
		{"Errors", testErrors},
		{"Codec", testCodec},
		{"Panics", testPanics},
		{"TaskInfo", testTaskInfo},
		{"Baggage", testBaggage},
		{"Futures", testFutures},
		{"Wait", testWait},
		{"Streams", testStreams},
		{"StreamEnds", testStreamEnds},
		{"Cancel", testCancel},
		{"Deadline", testDeadline},
		{"TimeLeft", testTimeLeft},
		{"Refusals", testRefusals},
		{"Concurrent", testConcurrent},
		{"Batch", testBatch},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, newExecutor(t)) })
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ints(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}

func testCall(t *testing.T, ex mp.Executor) { // O1
	v, err := mp.Call(t.Context(), ex, double, 21)
	must(t, err)
	if v != 42 {
		t.Errorf("got %d", v)
	}
}

func testValues(t *testing.T, ex mp.Executor) { // P4
	for _, want := range []message{
		{},
		{Text: "x", Bytes: []byte{}, Any: 7, Map: map[string][]int{"a": nil, "b": {}, "c": {1}}},
		{Any: []any{int8(1), "s", map[string]any{"k": uint64(1) << 63}, nil}},
		{Bytes: make([]byte, 3<<20)},
		{Text: strings.Repeat("long ", 100_000)},
	} {
		got, err := mp.Call(t.Context(), ex, echo, want)
		must(t, err)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %.80v, want %.80v", got, want)
		}
	}
}

func testMapOrder(t *testing.T, ex mp.Executor) { // O2 O13
	for _, n := range []int{1, 2, 10, 1000} {
		for _, chunk := range []int{0, 1, 7, 2000} {
			out, err := mp.Map(t.Context(), ex, double, ints(n), mp.ChunkSize(chunk))
			must(t, err)
			for i, v := range out {
				if v != 2*i {
					t.Fatalf("chunk %d: element %d is %d", chunk, i, v)
				}
			}
		}
	}
}

func testMapErrors(t *testing.T, ex mp.Executor) { // E3
	in := ints(100)
	in[17], in[60] = -17, -60
	out, err := mp.Map(t.Context(), ex, fail, in, mp.AllErrors())
	var all mp.ElementErrors
	if !errors.As(err, &all) || len(all) != 2 || all[0].Index != 17 || all[1].Index != 60 {
		t.Fatalf("got %v", err)
	}

	var r *refusal
	if !errors.As(all[1], &r) || r.N != -60 {
		t.Errorf("got %v", all[1])
	}

	for i, v := range out {
		if want := max(in[i], 0); v != want {
			t.Errorf("element %d is %d, want %d", i, v, want)
		}
	}
	_, err = mp.Map(t.Context(), ex, fail, in)
	var one *mp.ElementError
	if !errors.As(err, &one) || one.Index != 17 && one.Index != 60 {
		t.Errorf("first error: got %v", err)
	}
}

func testEmpty(t *testing.T, ex mp.Executor) { // O10
	out, err := mp.Map(t.Context(), ex, double, nil)
	if len(out) != 0 || err != nil {
		t.Errorf("Map: %v, %v", out, err)
	}
	for v, err := range mp.Stream(t.Context(), ex, double, slices.Values([]int{})) {
		t.Error("Stream yields", v, err)
	}
	done, pending, err := mp.Wait[*mp.Future[int]](t.Context(), mp.AllDone)
	if len(done)+len(pending) != 0 || err != nil {
		t.Errorf("Wait: %v, %v, %v", done, pending, err)
	}
}

func testErrors(t *testing.T, ex mp.Executor) { // O21
	_, err := mp.Call(t.Context(), ex, fail, -3)
	var r *refusal
	if !errors.As(err, &r) || r.N != -3 || err.Error() != "refused: -3 is negative" {
		t.Errorf("got %v", err)
	}
	_, err = mp.Call(t.Context(), ex, sentinel, struct{}{})
	if !errors.Is(err, errSuite) || !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "wrapped: ") {
		t.Errorf("got %v", err)
	}
}

func testCodec(t *testing.T, ex mp.Executor) { // E23 E26
	var c *mp.CodecError
	for _, bad := range []badMarshal{{Fail: true}, {Panic: true}} {
		if _, err := mp.Call(t.Context(), ex, stubborn, bad); !errors.As(err, &c) || c.What != "argument" {
			t.Errorf("got %v", err)
		}
	}

	out, err := mp.Map(t.Context(), ex, stubborn, []badMarshal{{}, {Fail: true}, {}}, mp.AllErrors())
	var all mp.ElementErrors
	if len(out) != 3 || !errors.As(err, &all) || len(all) != 1 || all[0].Index != 1 {
		t.Errorf("Map: got %v", err)
	}

	if _, err := mp.Call(t.Context(), ex, unsent, 1); !errors.As(err, &c) || c.What != "result" {
		t.Errorf("got %v", err)
	}
	if _, err := mp.Call(t.Context(), ex, unsent, 0); err != nil {
		t.Error(err)
	}
}

func testPanics(t *testing.T, ex mp.Executor) { // P17
	_, err := mp.Call(t.Context(), ex, panics, "ouch")
	var p *mp.PanicError
	if !errors.As(err, &p) || p.Value != "ouch" || !strings.Contains(p.Stack, "mptest") {
		t.Errorf("got %v", err)
	}
	if _, err := mp.Call(t.Context(), ex, goexit, struct{}{}); !errors.Is(err, mp.ErrGoexit) {
		t.Errorf("got %v", err)
	}
	testCall(t, ex) // E28
}

func testTaskInfo(t *testing.T, ex mp.Executor) {
	out, err := mp.Map(t.Context(), ex, info, ints(50))
	must(t, err)
	seen := map[uint64]bool{}
	for _, i := range out {
		if i.ID == 0 || seen[i.ID] || i.Attempt != 1 || i.Worker < 1 {
			t.Fatalf("got %+v", i)
		}
		seen[i.ID] = true
	}
}

func testBaggage(t *testing.T, ex mp.Executor) {
	ctx := context.WithValue(t.Context(), suiteKey{}, "of the test")
	check := func(how string, got []string, err error) {
		t.Helper()
		if err != nil || len(got) == 0 || slices.ContainsFunc(got, func(s string) bool { return s != "of the test" }) {
			t.Errorf("%s: %q, %v", how, got, err)
		}
	}

	one, err := mp.Call(ctx, ex, carried, struct{}{})
	check("Call", []string{one}, err)
	one, err = mp.Submit(ctx, ex, carried, struct{}{}).Result(ctx)
	check("Submit", []string{one}, err)
	all, err := mp.Map(ctx, ex, carried, make([]struct{}, 50))
	check("Map", all, err)
	all = nil
	for s, e := range mp.Stream(ctx, ex, carried, slices.Values(make([]struct{}, 50))) {
		all, err = append(all, s), errors.Join(err, e)
	}

	check("Stream", all, err)
	if got, err := mp.Call(t.Context(), ex, carried, struct{}{}); got != "" || err != nil {
		t.Errorf("without baggage: %q, %v", got, err)
	}
}

func testFutures(t *testing.T, ex mp.Executor) { // O4 O5 O6 F1 F5 F6 F7
	f := mp.Submit(t.Context(), ex, double, 4)
	var mu sync.Mutex
	var order []int
	for k := range 3 {
		f.OnDone(func(int, error) {
			mu.Lock()
			order = append(order, k)
			mu.Unlock()
			if k == 0 {
				panic("in a callback, which the log will show")
			}
		})
	}

	for range 2 { // P12
		v, err := f.Result(t.Context())
		if v != 8 || err != nil || f.State() != mp.Succeeded || f.Err() != nil {
			t.Fatalf("got %d, %v, %v", v, err, f.State())
		}
	}

	f.OnDone(func(int, error) { order = append(order, 3) })
	if !slices.Equal(order, []int{0, 1, 2, 3}) {
		t.Errorf("callbacks in order %v", order)
	}

	if f.Cancel() {
		t.Error("a finished future was cancelled")
	}
	g := mp.Submit(t.Context(), ex, fail, -1)
	<-g.Done()
	if g.State() != mp.Failed || g.Err() == nil {
		t.Errorf("got %v, %v", g.State(), g.Err())
	}
	all, err := mp.MapAsync(t.Context(), ex, double, ints(10)).Result(t.Context())
	if err != nil || len(all) != 10 || all[9] != 18 {
		t.Errorf("MapAsync: %v, %v", all, err)
	}
}

func testWait(t *testing.T, ex mp.Executor) { // F8 F10
	blocked, end := begin(t, ex)
	ok := mp.Submit(t.Context(), ex, double, 1)
	bad := mp.Submit(t.Context(), ex, fail, -1)
	<-bad.Done()
	<-ok.Done()
	done, pending, err := mp.Wait[mp.Awaitable](t.Context(), mp.FirstDone, blocked, ok, ok)
	if len(done) != 1 || len(pending) != 1 || err != nil {
		t.Errorf("FirstDone: %d, %d, %v", len(done), len(pending), err)
	}

	done, pending, err = mp.Wait[mp.Awaitable](t.Context(), mp.FirstError, blocked, bad)
	if len(done) != 1 || len(pending) != 1 || err != nil {
		t.Errorf("FirstError: %d, %d, %v", len(done), len(pending), err)
	}

	over, cancel := context.WithCancel(t.Context())
	cancel()
	done, pending, err = mp.Wait[mp.Awaitable](over, mp.AllDone, ok, blocked)
	if len(done) != 1 || len(pending) != 1 || !errors.Is(err, context.Canceled) {
		t.Errorf("AllDone: %d, %d, %v", len(done), len(pending), err)
	}
	n := 0
	for f, err := range mp.AsCompleted(over, ok, ok, mp.Submit(over, ex, double, 2)) {
		if n++; err != nil || f == nil {
			t.Errorf("AsCompleted: %v", err)
		}
	}
	if n != 2 {
		t.Errorf("AsCompleted yields %d", n)
	}

	// E4: AsCompleted yields the finished futures, and then an error for the rest.
	var got []string
	for f, err := range mp.AsCompleted[mp.Awaitable](over, ok, blocked) {
		got = append(got, fmt.Sprint(f == nil, err == nil))
		if err != nil && (!errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "1 of 2")) {
			t.Errorf("AsCompleted: %v", err)
		}
	}

	if want := []string{"false true", "true false"}; !slices.Equal(got, want) {
		t.Errorf("AsCompleted yields %v", got)
	}

	// O11 F3: waiting ends when the waiter's own context ends; the task is not affected.
	if _, err := blocked.Result(over); !errors.Is(err, context.Canceled) || blocked.State() != mp.Running {
		t.Errorf("Result: %v, and the task is %s", err, blocked.State())
	}
	if !blocked.Cancel() {
		t.Error("a running task cannot be cancelled")
	}
	end()
	if _, err := blocked.Result(t.Context()); !errors.Is(err, context.Canceled) || blocked.State() != mp.Cancelled { // F4
		t.Errorf("got %v, %v", err, blocked.State())
	}
}

// begin submits a task that waits until its context ends, and returns when the task has begun. The
// caller must call end after it has canceled the task.
func begin(t *testing.T, ex mp.Executor) (f *mp.Future[string], end func()) {
	t.Helper()
	name, wait := fifo(t)
	f = mp.Submit(t.Context(), ex, block, name)
	return f, wait()
}

// fifo makes a named pipe. The function wait returns when a task has opened the pipe.
func fifo(t *testing.T) (name string, wait func() (end func())) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("needs named pipes in the file system")
	}
	name = filepath.Join(t.TempDir(), "fifo")
	must(t, makeFIFO(name))
	return name, func() func() {
		r, err := os.Open(name)
		must(t, err)
		return func() { must(t, r.Close()) }
	}
}

func testStreams(t *testing.T, ex mp.Executor) { // O12 O15
	for _, n := range []int{1, 100, 5000} {
		i := 0
		for v, err := range mp.Stream(t.Context(), ex, double, slices.Values(ints(n))) {
			must(t, err)
			if v != 2*i {
				t.Fatalf("element %d is %d", i, v)
			}
			i++
		}

		seen := make([]bool, n)
		for r, err := range mp.StreamUnordered(t.Context(), ex, double, slices.Values(ints(n)), mp.ChunkSize(3)) {
			must(t, err)
			if r.Value != 2*r.Index || seen[r.Index] {
				t.Fatalf("got %+v", r)
			}
			seen[r.Index] = true
		}

		if i != n || slices.Contains(seen, false) {
			t.Errorf("%d results of %d", i, n)
		}
	}
}

func testStreamEnds(t *testing.T, ex mp.Executor) { // O9
	own := errors.New("the input's own")
	var got []int
	var last error
	for v, err := range mp.Stream(t.Context(), ex, double, func(yield func(int, error) bool) {
		_ = yield(1, nil) && yield(2, nil) && yield(0, own)
	}) {
		if last = err; err == nil {
			got = append(got, v)
		}
	}
	if !slices.Equal(got, []int{2, 4}) || !errors.Is(last, own) {
		t.Errorf("got %v, then %v", got, last)
	}

	endless := func(yield func(int) bool) {
		i := 0
		for yield(i) {
			i++
		}
	}

	n := 0
	for _, err := range mp.Stream(t.Context(), ex, double, endless) {
		must(t, err)
		if n++; n == 1000 {
			break
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n, last = 0, nil
	for _, err := range mp.StreamUnordered(ctx, ex, double, endless) {
		if last = err; err == nil {
			n++
		}
		cancel()
	}
	if n == 0 || !errors.Is(last, context.Canceled) {
		t.Errorf("after the context's end: %d results, then %v", n, last)
	}

	defer func() {
		if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), "in the input") {
			t.Errorf("a panic in the input arrives as %v", r)
		}
	}()

	for v, err := range mp.Stream(t.Context(), ex, double, func(func(int) bool) { panic("in the input") }) {
		t.Error("got", v, err)
	}
}

func testCancel(t *testing.T, ex mp.Executor) { // E18
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("why")
	name, wait := fifo(t)
	result := make(chan error, 1)
	go func() { _, err := mp.Call(ctx, ex, block, name); result <- err }()
	end := wait()
	cancel(why)
	end()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("running: got %v", err)
	}

	for _, want := range []error{why, context.Canceled} {
		if _, err := mp.Call(ctx, ex, double, 1); !errors.Is(err, want) {
			t.Errorf("Call in an ended context: %v", err)
		}
	}

	if _, err := mp.Map(ctx, ex, double, ints(10)); !errors.Is(err, why) {
		t.Errorf("Map in an ended context: %v", err)
	}
	if _, err := mp.Submit(ctx, ex, double, 1).Result(t.Context()); !errors.Is(err, why) {
		t.Errorf("Submit in an ended context: %v", err)
	}
	testCall(t, ex)
}

// expiring is a context whose deadline passes when the test closes done.
type expiring struct {
	context.Context
	done chan struct{}
}

func (e *expiring) Done() <-chan struct{} { return e.done }
func (e *expiring) Value(any) any         { return nil }
func (e *expiring) Err() error {
	select {
	case <-e.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// If a task returns its context's error after the caller's deadline has passed, the caller gets
// that error.
func testDeadline(t *testing.T, ex mp.Executor) {
	ctx := &expiring{t.Context(), make(chan struct{})}
	name, wait := fifo(t)
	result := make(chan error, 1)
	go func() { _, err := mp.Call(ctx, ex, block, name); result <- err }()
	end := wait()
	close(ctx.done)
	end()
	if err := <-result; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("running: got %v", err)
	}
	out, err := mp.Map(ctx, ex, double, ints(10))
	if !errors.Is(err, context.DeadlineExceeded) || len(out) != 10 {
		t.Errorf("Map after the deadline: %d results, %v", len(out), err)
	}
}

// A task's context has a deadline: that of the caller's context, or the end of the task's own
// timeout.
func testTimeLeft(t *testing.T, ex mp.Executor) {
	if left, err := mp.Call(t.Context(), ex, left, 0); left != 0 || err != nil {
		t.Errorf("without a deadline: %v, %v", left, err)
	}

	far, cancel := context.WithDeadline(t.Context(), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
	defer cancel()
	if left, err := mp.Call(far, ex, left, 0); left < 100*365*24*time.Hour || err != nil {
		t.Errorf("some thousand years before the deadline: %v, %v", left, err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		opts []mp.CallOption
		most time.Duration
	}{
		"the caller's":         {ctx, nil, time.Hour},
		"its own":              {t.Context(), []mp.CallOption{mp.Timeout(time.Minute)}, time.Minute},
		"the sooner is own":    {ctx, []mp.CallOption{mp.Timeout(time.Minute)}, time.Minute},
		"the sooner is theirs": {ctx, []mp.CallOption{mp.Timeout(2 * time.Hour)}, time.Hour},
	} {
		one, err := mp.Call(c.ctx, ex, left, 0, c.opts...)
		later, err2 := mp.Submit(c.ctx, ex, left, 0, c.opts...).Result(t.Context())
		options := make([]mp.MapOption, len(c.opts))
		for i, o := range c.opts {
			options[i] = o
		}

		all, err3 := mp.Map(c.ctx, ex, left, ints(500), options...)
		if err := errors.Join(err, err2, err3); err != nil {
			t.Errorf("%s: %v", name, err)
		}

		// Nothing in this test takes half of the time.
		for _, d := range append(all, one, later) {
			if d > c.most || d < c.most/2 {
				t.Errorf("%s: %v left of %v", name, d, c.most)
			}
		}
	}
}

func testRefusals(t *testing.T, ex mp.Executor) { // O17 E5
	if out, err := mp.Map(t.Context(), ex, double, ints(3), mp.ChunkSize(-1)); err == nil || len(out) != 3 || !strings.Contains(err.Error(), "ChunkSize") {
		t.Errorf("Map: got %v", err)
	}

	for _, err := range mp.Stream(t.Context(), ex, double, slices.Values(ints(3)), mp.ChunkSize(-1)) {
		if err == nil || !strings.Contains(err.Error(), "ChunkSize") {
			t.Errorf("Stream: got %v", err)
		}
	}

	b := newCounting(3)
	if err := ex.Execute(t.Context(), "no/such.function", b, mp.Hints{}); err == nil {
		for _, err := range b.wait() {
			if err == nil || !strings.Contains(err.Error(), "no/such.function") {
				t.Errorf("an unknown function: %v", err)
			}
		}
	}
}

func testConcurrent(t *testing.T, ex mp.Executor) {
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 50 {
				if v, err := mp.Call(t.Context(), ex, double, g*i); err != nil || v != 2*g*i {
					t.Errorf("got %d, %v", v, err)
				}
			}
			if _, err := mp.Map(t.Context(), ex, double, ints(100)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// counting is a batch that counts how often an executor settles each element.
type counting struct {
	n       int
	mu      sync.Mutex
	settled []int
	errs    []error
	left    int
	done    chan struct{}
}

func newCounting(n int) *counting {
	return &counting{n: n, settled: make([]int, n), errs: make([]error, n), left: n, done: make(chan struct{})}
}

func (c *counting) Len() int { return c.n }

// Encode encodes one element per call, and fails for element 2.
func (c *counting) Encode(buf []byte, lo, _ int) ([]byte, int, error) {
	if lo == 2 {
		return buf, 0, errors.New("element 2")
	}
	return append(buf, 8, 0, 0, 0, byte(lo), 0, 0, 0, 0, 0, 0, 0), 1, nil
}

func (c *counting) Settle(i int, _ []byte, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settled[i]++
	c.errs[i] = err
	if c.left--; c.left == 0 {
		close(c.done)
	}
}

func (c *counting) wait() []error {
	<-c.done
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.errs
}

func testBatch(t *testing.T, ex mp.Executor) {
	b := newCounting(5)
	must(t, ex.Execute(t.Context(), double.Name(), b, mp.Hints{}))
	for i, err := range b.wait() {
		if (err != nil) != (i == 2) || b.settled[i] != 1 {
			t.Errorf("element %d settled %d times: %v", i, b.settled[i], err)
		}
	}
}
