//go:build linux

package mp_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
)

// stuck never returns. Each argument selects another way.
var stuck = mp.Register("stuck", beStuck)

func beStuck(ctx context.Context, how string) (int, error) {
	switch how {
	case "loop":
		for n := 0; ; n++ {
			if n < 0 {
				return n, nil
			}
		}
	case "select":
		select {}
	case "system call":
		var fds [2]int
		if err := syscall.Pipe(fds[:]); err != nil {
			return 0, err
		}
		_, err := syscall.Read(fds[0], make([]byte, 1))
		return 0, err
	case "stopped":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		select {}
	case "all processors":
		for range 8 {
			go func() { _, _ = beStuck(ctx, "loop") }()
		}
		return beStuck(ctx, "loop")
	case "heeds":
		<-ctx.Done()
		return 0, ctx.Err()
	case "returns":
		<-ctx.Done()
		return 7, nil
	}

	return 0, nil
}

// B3 B5: a task is ended when its time has passed, whatever it does. The error shows where it was,
// and the pool goes on at full strength.
func TestTimeout(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 2, Grace: 20 * time.Millisecond})
	for _, how := range []string{"loop", "select", "system call", "stopped", "all processors"} {
		_, err := mp.Call(t.Context(), pool, stuck, how, mp.Timeout(30*time.Millisecond))
		var w *mp.WorkerError
		if !errors.As(err, &w) || w.Reason != mp.ReasonDeadline || !errors.Is(err, context.DeadlineExceeded) || w.Signal != syscall.SIGKILL {
			t.Errorf("%s: got %v", how, err)
			continue
		}

		first, _, _ := strings.Cut(w.Stacks, "\n\n") // the task's goroutine
		if how != "stopped" && !strings.Contains(first, "beStuck") {
			t.Errorf("%s: the stacks do not tell where it was: %q", how, w.Stacks)
		}
	}

	if _, err := mp.Call(t.Context(), pool, stuck, "heeds", mp.Timeout(time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) || errors.As(err, new(*mp.WorkerError)) {
		t.Errorf("one that heeds its context: %v", err)
	}
	if v, err := mp.Call(t.Context(), pool, stuck, "returns", mp.Timeout(time.Millisecond)); v != 7 || err != nil {
		t.Errorf("one that returns in its grace: %d, %v", v, err)
	}
	if len(pool.Workers()) == 0 {
		t.Error("no workers")
	}
}

// The timeout applies to each element, from its start. Many elements together may take longer, and
// the others are not affected.
func TestTimeoutOfElements(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 2, Timeout: 50 * time.Millisecond, Grace: 10 * time.Millisecond})
	in := make([]string, 200)
	in[3], in[77] = "loop", "select"
	_, err := mp.Map(t.Context(), pool, stuck, in, mp.AllErrors())
	var es mp.ElementErrors
	if !errors.As(err, &es) || len(es) != 2 || es[0].Index != 3 || es[1].Index != 77 || !errors.Is(es[0], context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}

	n := 0
	for r, err := range mp.StreamUnordered(t.Context(), pool, stuck, func(yield func(string) bool) {
		for _, s := range in[70:90] {
			if !yield(s) {
				return
			}
		}
	}) {
		if n++; (err != nil) != (r.Index == 7) {
			t.Errorf("element %d: %v", r.Index, err)
		}
	}

	if n != 20 {
		t.Errorf("%d results", n)
	}
	// A call can have no limit, or a limit of its own.
	if _, err := mp.Submit(t.Context(), pool, nap, 4*50*time.Millisecond, mp.Timeout(0)).Result(t.Context()); err != nil {
		t.Error(err)
	}

	for i, err := range []error{
		second(mp.Call(t.Context(), pool, square, 1, mp.Timeout(-1))),
		second(mp.Call(t.Context(), pool, square, 1, mp.Timeout(-time.Hour))),
		second(mp.Map(t.Context(), pool, square, []int{1}, mp.Retries(-1))),
		mp.Submit(t.Context(), pool, square, 1, mp.Retries(-1)).Err(),
	} {
		if err == nil || !strings.Contains(err.Error(), "must not be negative") {
			t.Errorf("%d: got %v", i, err)
		}
	}
}

var nap = mp.Register("nap", func(_ context.Context, d time.Duration) (int, error) {
	time.Sleep(d)
	return 0, nil
})

func second[T any](_ T, err error) error { return err }

// If the caller wants retries, a task whose worker died runs again on another worker and knows
// which attempt it is. No other task runs again.
func TestRetries(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 2})
	in := make([]retried, 50)
	file := filepath.Join(t.TempDir(), "runs")
	for i := range in {
		in[i] = retried{N: i, File: file}
	}

	in[10].Dies, in[11].Dies, in[30].Dies, in[40].Fails = 1, 2, 3, true
	out, err := mp.Map(t.Context(), pool, retry, in, mp.Retries(2), mp.AllErrors())
	var es mp.ElementErrors
	if !errors.As(err, &es) || len(es) != 2 || es[0].Index != 30 || es[1].Index != 40 {
		t.Fatalf("got %v", err)
	}
	if !errors.As(es[0], new(*mp.WorkerError)) || errors.As(es[1], new(*mp.WorkerError)) {
		t.Errorf("got %v and %v", es[0], es[1])
	}

	for i, attempts := range out {
		want := 1 + in[i].Dies
		if i == 30 || i == 40 {
			want = 0
		}
		if attempts != want {
			t.Errorf("element %d: attempt %d, not %d", i, attempts, want)
		}
	}

	runs, err := os.ReadFile(file)
	if want := len(in) + 1 + 2 + 2; err != nil || len(runs) != want {
		t.Errorf("%d runs, not %d; %v", len(runs), want, err)
	}
	if _, err := mp.Call(t.Context(), pool, retry, retried{File: file, Dies: 1}); !errors.As(err, new(*mp.WorkerError)) {
		t.Errorf("without being asked: %v", err)
	}
	if n, err := mp.Call(t.Context(), pool, retry, retried{File: file, Dies: 1}, mp.Retries(1)); n != 2 || err != nil {
		t.Errorf("a lone call: %d, %v", n, err)
	}
}

type retried struct {
	N, Dies int // the number of attempts in which the worker dies
	Fails   bool
	File    string
}

var retry = mp.Register("retry", func(ctx context.Context, r retried) (int, error) {
	f, err := os.OpenFile(r.File, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if _, err := f.WriteString("x"); err != nil {
		return 0, err
	}

	info, _ := mp.CurrentTask(ctx)
	if info.Attempt <= r.Dies {
		return 0, dieBy("SIGKILL")
	}
	if r.Fails {
		return 0, errors.New("as asked")
	}
	return info.Attempt, nil
})

// sinceLast returns the time from the end of the worker's last task to the start of this task's
// timeout.
var sinceLast = mp.Register("sinceLast", func(ctx context.Context, timeout time.Duration) (since time.Duration, err error) {
	due, ok := ctx.Deadline()
	if !ok {
		return 0, errors.New("no deadline")
	}
	if !lastEnd.IsZero() {
		since = due.Add(-timeout).Sub(lastEnd)
	}
	lastEnd = time.Now()
	return since, nil
})

var lastEnd time.Time

// A task does not see the deadline of the previous task. A short timeout counts from the task's own
// start, however many tasks were sent with it.
func TestShortTimeLeft(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	timeouts := slices.Repeat([]time.Duration{400 * time.Millisecond}, 500)
	since, err := mp.Map(t.Context(), pool, sinceLast, timeouts, mp.Timeout(timeouts[0]), mp.ChunkSize(len(timeouts)))
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range since {
		if d < 0 {
			t.Fatalf("element %d: its timeout began %v before the end of the last task", i, -d)
		}
	}
}
