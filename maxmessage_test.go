//go:build linux

package mp_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-multiprocessing/mp"
)

var letters = mp.Register("letters", func(_ context.Context, n int) (string, error) { return strings.Repeat("x", n), nil })

var length = mp.Register("length", func(_ context.Context, s string) (int, error) { return len(s), nil })

func ExamplePoolConfig_maxMessage() {
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 1, MaxMessage: 1 << 20})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	_, err = mp.Call(context.Background(), pool, length, strings.Repeat("x", 2<<20))
	fmt.Println(errors.Is(err, mp.ErrTooLong))
	n, err := mp.Call(context.Background(), pool, length, strings.Repeat("x", 500_000))
	fmt.Println(n, err)
	// Output:
	// true
	// 500000 <nil>
}

// An argument or result above MaxMessage fails only its task, and the worker lives on. A size of
// exactly MaxMessage passes.
func TestMaxMessageOfTasks(t *testing.T) {
	const most = 200_000
	pool := newPool(t, mp.PoolConfig{Workers: 1, MaxMessage: most})
	if err := pool.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}

	pid := pool.Workers()[0].PID
	var codec *mp.CodecError
	for _, n := range []int{most, most + 1, 10 * most} {
		got, err := mp.Call(t.Context(), pool, length, strings.Repeat("x", n))
		switch {
		case n <= most && (got != n || err != nil):
			t.Errorf("an argument of %d bytes: %d, %v", n, got, err)
		case n > most && (!errors.As(err, &codec) || codec.What != "argument" || !errors.Is(err, mp.ErrTooLong)):
			t.Errorf("an argument of %d bytes: %v", n, err)
		}

		s, err := mp.Call(t.Context(), pool, letters, n)
		switch {
		case n <= most && (len(s) != n || err != nil):
			t.Errorf("a result of %d bytes: %d, %v", n, len(s), err)
		case n > most && (!errors.As(err, &codec) || codec.What != "result" || !strings.Contains(err.Error(), "MaxMessage")):
			t.Errorf("a result of %d bytes: %v", n, err)
		}
	}

	in := []string{"a", strings.Repeat("x", most+1), "bcd"}
	out, err := mp.Map(t.Context(), pool, length, in, mp.AllErrors())
	var all mp.ElementErrors
	if !errors.As(err, &all) || len(all) != 1 || all[0].Index != 1 || out[0] != 1 || out[2] != 3 {
		t.Errorf("%d, %v", out, err)
	}
	if now := pool.Workers(); len(now) != 1 || now[0].PID != pid {
		t.Errorf("the worker was %d: %+v", pid, now)
	}
	if _, err := mp.NewPool(mp.PoolConfig{MaxMessage: -1}); err == nil || !strings.Contains(err.Error(), "MaxMessage") {
		t.Errorf("a negative one: %v", err)
	}
}

var failing = mp.Register("failing", func(_ context.Context, n int) (int, error) {
	if n < 0 {
		panic(strings.Repeat("x", -n))
	}
	return 0, errors.New(strings.Repeat("x", n))
})

// MaxMessage applies to arguments and results. Errors and panics of tasks have limits of their own.
// With a small MaxMessage, a long error does not look like a corrupt worker.
func TestMaxMessageIsNotOfFailures(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1, MaxMessage: 100})
	for _, n := range []int{1_000, 200_000, 900_000} {
		if _, err := mp.Call(t.Context(), pool, failing, n); err == nil || err.Error() != strings.Repeat("x", n) {
			t.Errorf("an error of %d bytes: %T, %.200v", n, err, err)
		}
		var p *mp.PanicError
		if _, err := mp.Call(t.Context(), pool, failing, -n); !errors.As(err, &p) || !strings.Contains(err.Error(), "xxxxx") {
			t.Errorf("a panic of %d bytes: %T, %.200v", n, err, err)
		}
	}
}

var failsAtLength = mp.Register("failsAtLength", func(_ context.Context, n int) (int, error) {
	var all []error
	for range 1000 {
		var some []error
		for range 7 {
			some = append(some, errors.New(strings.Repeat("x", n)))
		}
		all = append(all, errors.Join(some...))
	}
	return 0, errors.Join(append(all, errors.New("the end"))...)
})

// A Setup may fail with as large a tree of errors as a task.
func TestSetupFailsAtLength(t *testing.T) {
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 1, Setup: failsAtLength.With(600), Restart: mp.Restart{Attempts: 1}})
	if err == nil {
		err = pool.Ready(t.Context())
		pool.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "xxxxx") {
		t.Errorf("%.200v", err)
	}
}
