//go:build linux

package mp_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

// An input may reuse the memory of an element as soon as it is asked for the next one, as
// bufio.Scanner.Bytes does.

type holder struct {
	Name  string
	Lines [][]byte
}

type tree struct {
	N    int
	Next *tree
}

var (
	textOf     = mp.Register("textOfBytes", func(_ context.Context, b []byte) (string, error) { return string(b), nil })
	echoHolder = mp.Register("echoHolder", func(_ context.Context, h holder) (string, error) {
		return h.Name + string(slices.Concat(h.Lines...)), nil
	})
	echoTree   = mp.Register("echoTree", func(_ context.Context, t *tree) (string, error) { return fmt.Sprint(t.N, t.Next.N), nil })
	echoMap    = mp.Register("echoMap", func(_ context.Context, m map[string]int) (string, error) { return fmt.Sprint(m), nil })
	echoAny    = mp.Register("echoAny", func(_ context.Context, v any) (string, error) { return fmt.Sprint(v), nil })
	echoArr    = mp.Register("echoArr", func(_ context.Context, a [2][]int) (string, error) { return fmt.Sprint(a), nil })
	dieAtFirst = mp.Register("dieAtFirst", func(ctx context.Context, b []byte) (string, error) {
		if task, _ := mp.CurrentTask(ctx); string(b) == "mortal" && task.Attempt == 1 {
			return "", syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
		}
		return string(b), nil
	})
	closeConns = mp.Register("closeConns", func(ctx context.Context, all []*ipc.Conn[int]) (int, error) {
		for _, c := range all {
			_ = c.Close()
		}
		<-ctx.Done()
		return 0, ctx.Err()
	})
	waitBytes = mp.Register("waitBytes", func(ctx context.Context, b []byte) (int, error) {
		<-ctx.Done()
		return len(b), ctx.Err()
	})
)

// reused yields the same value n times. Before each, change overwrites its content.
func reused[T any](n int, v T, change func(v *T, i int)) func(func(T) bool) {
	return func(yield func(T) bool) {
		for i := range n {
			if change(&v, i); !yield(v) {
				return
			}
		}
	}
}

func checkReuse[In any](t *testing.T, ex mp.Executor, f *mp.Func[In, string], v In, change func(v *In, i int), want func(i int) string) {
	t.Helper()
	const n = 3000
	i := 0
	for s, err := range mp.Stream(t.Context(), ex, f, reused(n, v, change)) {
		if err != nil || s != want(i) {
			t.Fatal(i, s, err)
		}
		i++
	}

	for r, err := range mp.StreamUnordered(t.Context(), ex, f, reused(n, v, change)) {
		if err != nil || r.Value != want(r.Index) {
			t.Fatal(r, err)
		}
		i++
	}
	if i != 2*n {
		t.Error(i)
	}
}

func TestStreamOfReusedMemory(t *testing.T) {
	inline := must(mp.NewInline(mp.InlineConfig{Workers: 2}))
	defer inline.Close()

	for name, ex := range map[string]mp.Executor{"Pool": newPool(t, mp.PoolConfig{Workers: 2}), "Inline": inline} {
		t.Run(name, func(t *testing.T) {
			decimal := func(i int) string { return fmt.Sprintf("%06d", i) }
			write := func(b []byte, i int) { copy(b, decimal(i)) }
			checkReuse(t, ex, textOf, make([]byte, 6), func(b *[]byte, i int) { write(*b, i) }, decimal)
			checkReuse(t, ex, echoHolder, holder{Lines: [][]byte{make([]byte, 6)}},
				func(h *holder, i int) { write(h.Lines[0], i); h.Name = fmt.Sprint(i, " ") },
				func(i int) string { return fmt.Sprint(i, " ") + decimal(i) })
			checkReuse(t, ex, echoTree, &tree{Next: &tree{}}, func(p **tree, i int) { (*p).N, (*p).Next.N = i, -i },
				func(i int) string { return fmt.Sprint(i, -i) })
			checkReuse(t, ex, echoMap, map[string]int{}, func(m *map[string]int, i int) { clear(*m); (*m)[fmt.Sprint(i)] = i },
				func(i int) string { return fmt.Sprintf("map[%d:%d]", i, i) })
			checkReuse(t, ex, echoAny, any([]byte{0}), func(v *any, i int) { (*v).([]byte)[0] = byte(i) }, func(i int) string { return fmt.Sprintf("[%d]", byte(i)) })
			checkReuse(t, ex, echoArr, [2][]int{{0}, {0}}, func(a *[2][]int, i int) { a[1][0] = i }, func(i int) string { return fmt.Sprintf("[[0] [%d]]", i) })
		})
	}
}

// The program that found the bug.
func TestStreamOfScanner(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 2})
	var text strings.Builder
	for i := range 5000 {
		fmt.Fprintln(&text, "line", i)
	}

	input := func(yield func([]byte) bool) {
		for sc := bufio.NewScanner(strings.NewReader(text.String())); sc.Scan() && yield(sc.Bytes()); {
		}
	}

	i := 0
	for s, err := range mp.Stream(t.Context(), pool, textOf, input) {
		if want := fmt.Sprint("line ", i); err != nil || s != want {
			t.Fatal(s, err, "instead of", want)
		}
		i++
	}
	if i != 5000 {
		t.Error(i)
	}
}

// Retries and the arguments of slow tasks show the element as it was when it was yielded. An
// element that cannot be encoded is an error in its place.
func TestReusedMemoryLater(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	words := []string{"before", "mortal", "behind", "after."}
	input := reused(len(words), make([]byte, 6), func(b *[]byte, i int) { copy(*b, words[i]) })
	var got []string
	for s, err := range mp.Stream(t.Context(), pool, dieAtFirst, input, mp.Retries(1)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, s)
	}

	if !slices.Equal(got, words) {
		t.Error(got)
	}
	shown := pool.Stats().Slowest
	for _, s := range shown {
		if !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(s.Arg, w) }) {
			t.Errorf("%q is not what was sent", s.Arg)
		}
	}

	good, bad := 0, 0
	for _, err := range mp.Stream(t.Context(), pool, echoAny, slices.Values([]any{1, make(chan int), 2})) {
		var wrong *mp.CodecError
		switch {
		case err == nil:
			good++
		case errors.As(err, &wrong) && wrong.Doing == "encoded":
			bad++
		default:
			t.Error(err)
		}
	}

	if good != 2 || bad != 1 {
		t.Error(good, bad)
	}
}

// If the caller leaves the loop, the sender still owns the ends of connections in elements that
// were read ahead and not sent.
func TestStreamRecallsWhatWasReadAhead(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	var here, there []*ipc.Conn[int]
	for range 30 {
		a, b, err := ipc.NewPipe[int]()
		if err != nil {
			t.Fatal(err)
		}
		here, there = append(here, a), append(there, b)
	}

	var read atomic.Int32
	input := func(yield func([]*ipc.Conn[int]) bool) {
		for _, c := range there {
			if read.Add(1); !yield([]*ipc.Conn[int]{c}) {
				return
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		// The first task has received its connection when it closes it.
		_, _ = here[0].Recv(ctx)
		cancel()
	}()

	for _, err := range mp.Stream(ctx, pool, closeConns, input) {
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}

	ours := 0
	for i := range here {
		if _, err := there[i].TryRecv(); !errors.Is(err, ipc.ErrMoved) && !errors.Is(err, mp.ErrClosed) {
			ours++
			if err := there[i].Send(t.Context(), i); err != nil {
				t.Error(err)
			}
			if n, err := here[i].Recv(t.Context()); n != i || err != nil {
				t.Error(n, err)
			}
		}
		_, _ = here[i].Close(), there[i].Close()
	}

	if n := int(read.Load()); n < 2 || ours < len(there)-3 {
		t.Errorf("%d were read, %d of %d are here", n, ours, len(there))
	}
}

// The memory of waiting elements is bounded, however large the elements are.
func TestStreamReadsAheadSoManyBytes(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 2})
	var read atomic.Int32
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	input := reused(1000, make([]byte, 1<<20), func(*[]byte, int) { read.Add(1) })
	done := make(chan bool)
	go func() {
		defer close(done)
		for range mp.Stream(ctx, pool, waitBytes, input, mp.ChunkSize(500)) {
		}
	}()

	last := int32(0)
	for still := 0; still < 100; still++ { // wait until it reads no further
		if n := read.Load(); n != last {
			last, still = n, 0
		}
		time.Sleep(2 * time.Millisecond)
	}

	if last < 2 || last > 60 {
		t.Errorf("%d MiB were read ahead of two workers", last)
	}
	cancel()
	<-done
}

// The sender keeps an element that the input yields after the stream has ended.
func TestStreamRecallsWhatComesLate(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	there := farEnds(t, 2)
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	input := func(yield func([]*ipc.Conn[int]) bool) {
		defer close(over)
		if !yield(there[:1]) {
			t.Error("it is over before its end")
		}
		cancel()
		if yield(there[1:]) {
			t.Error("it goes on")
		}
	}
	for range mp.Stream(ctx, pool, closeConns, input, mp.ChunkSize(30)) {
	}

	<-over
	until(t, "the second is ours", func() bool { return countOurs(there[1:]) == 1 })
}

// The sender keeps the elements that the executor refuses.
func TestStreamRecallsWhatIsRefused(t *testing.T) {
	type closer interface {
		mp.Executor
		Close() error
	}

	for name, executor := range map[string]func(t *testing.T) closer{
		"Pool":   func(t *testing.T) closer { return newPool(t, mp.PoolConfig{Workers: 1}) },
		"Inline": func(*testing.T) closer { return must(mp.NewInline(mp.InlineConfig{Workers: 1})) },
	} {
		t.Run(name, func(t *testing.T) {
			ex := executor(t)
			there := farEnds(t, 30)
			input := func(yield func([]*ipc.Conn[int]) bool) {
				_ = ex.Close()
				for _, c := range there {
					if !yield([]*ipc.Conn[int]{c}) {
						return
					}
				}
			}
			for _, err := range mp.Stream(t.Context(), ex, closeConns, input, mp.ChunkSize(30)) {
				if !errors.Is(err, mp.ErrClosed) {
					t.Error(err)
				}
			}

			until(t, "all are ours", func() bool { return countOurs(there) == 30 })
		})
	}
}

// farEnds creates connections and returns one end of each.
func farEnds(t *testing.T, n int) (there []*ipc.Conn[int]) {
	for range n {
		a, b, err := ipc.NewPipe[int]()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = a.Close(), b.Close() })
		there = append(there, b)
	}
	return there
}

// countOurs counts the ends that this process owns.
func countOurs(ends []*ipc.Conn[int]) (n int) {
	for _, c := range ends {
		if _, err := c.TryRecv(); !errors.Is(err, ipc.ErrMoved) && !errors.Is(err, mp.ErrClosed) {
			n++
		}
	}
	return n
}

// A stream of more bytes than may wait for workers runs to its end.
func TestStreamOfMoreThanMayWait(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 2})
	ctx, cancel := context.WithTimeout(t.Context(), never)
	defer cancel()
	n := 0
	for _, err := range mp.Stream(ctx, pool, blobIn, reused(40, make([]byte, 1<<20), func(*[]byte, int) {})) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 40 {
		t.Error(n)
	}
}
