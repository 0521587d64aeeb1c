package mp_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-multiprocessing/mp"
)

var upper = mp.Register("upper", func(_ context.Context, s string) (string, error) {
	if s == "" {
		return "", errEmpty
	}
	return strings.ToUpper(s), nil
})

var errEmpty = mp.RegisterError(errors.New("the text is empty"))

// pool returns a pool, as the main of a program would make it after calling mp.Init.
func pool() *mp.Pool {
	p, err := mp.NewPool(mp.PoolConfig{Workers: 2, Output: mp.Output{Stdout: os.Stdout, Stderr: discarded{}}})
	if err != nil {
		log.Fatal(err)
	}
	return p
}

type discarded struct{}

func (discarded) Write(b []byte) (int, error) { return len(b), nil }

func Example() {
	// func main() { mp.Init(); …
	pool, err := mp.NewPool(mp.PoolConfig{})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	fmt.Println(mp.Map(context.Background(), pool, upper, []string{"a", "b", "c"}))
	// Output: [A B C] <nil>
}

func ExampleCall() {
	p := pool()
	defer p.Close()
	fmt.Println(mp.Call(context.Background(), p, upper, "hello"))
	// Output: HELLO <nil>
}

// A Process runs a function once and returns its result.
func ExampleProcess() {
	p, err := mp.NewProcess(upper, "hello", mp.ProcessConfig{Name: "shouter"})
	if err != nil {
		log.Fatal(err)
	}
	if err := p.Start(); err != nil {
		log.Fatal(err)
	}
	word, err := p.Wait(context.Background())
	code, _ := p.ExitCode()
	fmt.Println(p.Name(), word, err, code)
	// Output: shouter HELLO <nil> 0
}

// Wait reports how a process crashed.
func ExampleProcess_ExitCode() {
	p, err := mp.NewProcess(dieOnce, "", mp.ProcessConfig{Output: mp.Output{Stderr: discarded{}}})
	if err != nil {
		log.Fatal(err)
	}
	if err := p.Start(); err != nil {
		log.Fatal(err)
	}

	_, err = p.Wait(context.Background())
	var w *mp.WorkerError
	if errors.As(err, &w) {
		fmt.Println(w.Reason)
	}
	fmt.Println(p.ExitCode())
	// Output:
	// exit
	// 1 true
}

// At its end, a program waits for the processes that it has started.
func ExampleWaitChildren() {
	for _, word := range []string{"a", "b"} {
		p, err := mp.NewProcess(upper, word, mp.ProcessConfig{})
		if err != nil {
			log.Fatal(err)
		}
		if err := p.Start(); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(mp.WaitChildren(context.Background()), len(mp.Children()))
	// Output: <nil> 0
}

var forever = mp.Register("forever", func(context.Context, int) (int, error) {
	for n := 1; ; n++ {
		if n == 0 {
			return n, nil
		}
	}
})

// A task that hangs is killed. The error says where it was.
func ExampleTimeout() {
	p := pool()
	defer p.Close()
	_, err := mp.Call(context.Background(), p, forever, 0, mp.Timeout(20*time.Millisecond))
	var w *mp.WorkerError
	if errors.As(err, &w) {
		fmt.Println(w.Reason, errors.Is(err, context.DeadlineExceeded), strings.Contains(w.Stacks, "example_test.go"))
	}
	// Output: deadline true true
}

// With Retries, a task whose worker died runs again.
func ExampleRetries() {
	p := pool()
	defer p.Close()
	fmt.Println(mp.Call(context.Background(), p, dieOnce, "done", mp.Retries(1)))
	// Output: done in attempt 2 <nil>
}

var dieOnce = mp.Register("dieOnce", func(ctx context.Context, word string) (string, error) {
	info, _ := mp.CurrentTask(ctx)
	if info.Attempt == 1 {
		os.Exit(1)
	}
	return fmt.Sprint(word, " in attempt ", info.Attempt), nil
})

func ExampleSubmit() {
	p := pool()
	defer p.Close()
	ctx := context.Background()
	f := mp.Submit(ctx, p, upper, "later")
	fmt.Println("submitted")
	fmt.Println(f.Result(ctx))
	// Output:
	// submitted
	// LATER <nil>
}

func ExampleFuture_OnDone() {
	p := pool()
	defer p.Close()
	ctx := context.Background()
	f := mp.Submit(ctx, p, upper, "done")
	f.OnDone(func(s string, err error) { fmt.Println("callback:", s, err) })
	_, _ = f.Result(ctx)
	// Output: callback: DONE <nil>
}

func ExampleMap() {
	p := pool()
	defer p.Close()
	out, err := mp.Map(context.Background(), p, upper, []string{"a", "", "c"}, mp.AllErrors())
	fmt.Printf("%q\n", out)
	var failed mp.ElementErrors
	if errors.As(err, &failed) {
		for _, e := range failed {
			fmt.Println(e.Index, e.Err, errors.Is(e, errEmpty))
		}
	}
	// Output:
	// ["A" "" "C"]
	// 1 the text is empty true
}

func ExampleOnProgress() {
	p := pool()
	defer p.Close()
	_, err := mp.Map(context.Background(), p, upper, []string{"a", "", "c"}, mp.AllErrors(), mp.OnProgress(func(p mp.Progress) {
		if p.Over {
			fmt.Println(p.Done, "of", p.Total, "done,", p.Failed, "failed")
		}
	}))
	fmt.Println(err != nil)
	// Output:
	// 3 of 3 done, 1 failed
	// true
}

func ExampleMapAsync() {
	p := pool()
	defer p.Close()
	ctx := context.Background()
	f := mp.MapAsync(ctx, p, upper, []string{"x", "y"})
	fmt.Println("meanwhile")
	fmt.Println(f.Result(ctx))
	// Output:
	// meanwhile
	// [X Y] <nil>
}

func ExampleStream() {
	p := pool()
	defer p.Close()
	words := strings.FieldsSeq("an iterator may have no end")
	for word, err := range mp.Stream(context.Background(), p, upper, words) {
		if err != nil {
			log.Fatal(err)
		}
		if word == "MAY" {
			break
		}
		fmt.Println(word)
	}
	// Output:
	// AN
	// ITERATOR
}

func ExampleStreamUnordered() {
	p := pool()
	defer p.Close()
	in := []string{"a", "b", "c"}
	out := make([]string, len(in))
	for r, err := range mp.StreamUnordered(context.Background(), p, upper, slices.Values(in)) {
		if err != nil {
			log.Fatal(err)
		}
		out[r.Index] = r.Value
	}
	fmt.Println(out)
	// Output: [A B C]
}

func ExampleWait() {
	p := pool()
	defer p.Close()
	ctx := context.Background()
	a, b := mp.Submit(ctx, p, upper, "a"), mp.Submit(ctx, p, upper, "")
	done, pending, err := mp.Wait(ctx, mp.AllDone, a, b)
	fmt.Println(len(done), len(pending), err)
	// Output: 2 0 <nil>
}

func ExampleAsCompleted() {
	p := pool()
	defer p.Close()
	ctx := context.Background()
	var all []*mp.Future[string]
	for _, s := range []string{"a", "b", "c"} {
		all = append(all, mp.Submit(ctx, p, upper, s))
	}
	var got []string
	for f, err := range mp.AsCompleted(ctx, all...) {
		if err != nil {
			log.Fatal(err)
		}
		s, _ := f.Result(ctx)
		got = append(got, s)
	}

	slices.Sort(got)
	fmt.Println(got)
	// Output: [A B C]
}

func ExampleWorkerError() {
	p := pool()
	defer p.Close()
	ctx := context.Background()
	_, err := mp.Call(ctx, p, crash, 3)
	var dead *mp.WorkerError
	if errors.As(err, &dead) {
		fmt.Println(dead.Reason, dead.ExitCode)
	}
	fmt.Println(mp.Call(ctx, p, upper, "the pool goes on"))
	// Output:
	// exit 3
	// THE POOL GOES ON <nil>
}

var crash = mp.Register("crash", func(_ context.Context, code int) (int, error) {
	os.Exit(code)
	return 0, nil
})

// tooLong is an error type that callers find with errors.As.
type tooLong struct{ Length, Most int }

func (e *tooLong) Error() string { return fmt.Sprintf("%d letters, more than %d", e.Length, e.Most) }

func init() { mp.RegisterErrorType[*tooLong]() }

var abbreviate = mp.Register("abbreviate", func(_ context.Context, s string) (string, error) {
	if len(s) > 10 {
		return "", fmt.Errorf("abbreviate: %w", &tooLong{len(s), 10})
	}
	return s[:1] + ".", nil
})

func ExampleRegisterErrorType() {
	p := pool()
	defer p.Close()
	_, err := mp.Call(context.Background(), p, abbreviate, "multiprocessing")
	var long *tooLong
	if errors.As(err, &long) {
		fmt.Println(long.Length-long.Most, "too many")
	}
	// Output: 5 too many
}

// loadError wraps another error, as many error types do.
type loadError struct {
	Name string
	Err  error
}

func (e *loadError) Error() string { return "loading " + e.Name + ": " + e.Err.Error() }
func (e *loadError) Unwrap() error { return e.Err }

func init() {
	mp.RegisterErrorWrapper(
		func(e *loadError) string { return e.Name },
		func(name string, err error) *loadError { return &loadError{name, err} })
}

var load = mp.Register("load", func(_ context.Context, name string) ([]byte, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, &loadError{name, err}
	}
	return b, nil
})

func ExampleRegisterErrorWrapper() {
	p := pool()
	defer p.Close()
	_, err := mp.Call(context.Background(), p, load, "/no/such/file")
	var failed *loadError
	fmt.Println(errors.As(err, &failed), errors.Is(err, fs.ErrNotExist))
	// Output: true true
}

func ExampleFunc_With() {
	p, err := mp.NewPool(mp.PoolConfig{
		Workers: 1,
		Setup:   greet.With("a worker begins"),
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	fmt.Println(mp.Call(ctx, p, upper, "a task"))
	if err := p.Shutdown(ctx); err != nil { // waits for the workers' output
		log.Fatal(err)
	}
	// Unordered output:
	// a worker begins
	// A TASK <nil>
}

func ExampleRegisterAction() {
	p, err := mp.NewPool(mp.PoolConfig{Workers: 1, Output: mp.Output{Stdout: os.Stdout}})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()

	ctx := context.Background()
	if _, err := mp.Call(ctx, p, greet, "Hello from a worker"); err != nil {
		log.Fatal(err)
	}
	if err := p.Shutdown(ctx); err != nil { // waits for the worker's output
		log.Fatal(err)
	}
	// Output: Hello from a worker
}

var greet = mp.RegisterAction("greet", func(_ context.Context, s string) error {
	fmt.Println(s)
	return nil
})

func ExampleCurrentTask() {
	x, err := mp.NewInline(mp.InlineConfig{Workers: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer x.Close()
	fmt.Println(mp.Call(context.Background(), x, which, struct{}{}))
	// Output: {1 1 1} <nil>
}

var which = mp.Register("which", func(ctx context.Context, _ struct{}) (mp.TaskInfo, error) {
	task, _ := mp.CurrentTask(ctx)
	return task, nil
})

func ExampleInline() {
	x, err := mp.NewInline(mp.InlineConfig{})
	if err != nil {
		log.Fatal(err)
	}
	defer x.Close()
	fmt.Println(mp.Map(context.Background(), x, upper, []string{"in", "this", "process"}))
	// Output: [IN THIS PROCESS] <nil>
}
