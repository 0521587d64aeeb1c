//go:build linux

package progress_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/pty"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/mptest"
	"github.com/go-multiprocessing/mp/progress"
)

func TestMain(m *testing.M) { mptest.Main(m) }

type job struct {
	N    int
	Go   *ipc.Event // the task waits for this
	Line string     // the task prints this
}

var work = mp.Register("work", func(ctx context.Context, j job) (int, error) {
	if j.Line != "" {
		fmt.Println(j.Line)
		fmt.Fprintln(os.Stderr, j.Line)
	}
	if j.Go != nil {
		if err := j.Go.Wait(ctx); err != nil {
			return 0, err
		}
	}
	if j.N < 0 {
		return 0, errors.New("below zero")
	}
	return j.N, nil
})

// terminal is a pseudoterminal that records what is shown on it.
type terminal struct {
	*os.File
	mu    sync.Mutex
	shown bytes.Buffer
	read  chan struct{}
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	master, file, err := pty.Open()
	if err != nil {
		t.Skip("no terminals: ", err)
	}

	if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 100}); err != nil {
		t.Fatal(err)
	}
	x := &terminal{File: file, read: make(chan struct{})}
	go func() {
		defer close(x.read)
		defer master.Close()
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			x.mu.Lock()
			x.shown.Write(b[:n])
			x.mu.Unlock()
			if err != nil { // EIO: the other end is closed
				return
			}
		}
	}()

	return x
}

// end closes the terminal and returns all lines that were shown, in order.
func (x *terminal) end() []string {
	_ = x.Close()
	<-x.read
	return linesOf(x.shown.String())
}

var escapes = regexp.MustCompile("\x1b\\[[0-9]*[A-Za-z]")

func linesOf(shown string) (lines []string) {
	for line := range strings.SplitSeq(escapes.ReplaceAllString(shown, "\n"), "\n") {
		if line = strings.Trim(line, "\r"); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

func find(lines []string, parts ...string) bool {
	for _, l := range lines {
		all := true
		for _, p := range parts {
			all = all && strings.Contains(l, p)
		}
		if all {
			return true
		}
	}
	return false
}

func newPool(t *testing.T, cfg mp.PoolConfig) *mp.Pool {
	t.Helper()
	pool, err := mp.NewPool(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	return pool
}

func jobs(n int) []job {
	all := make([]job, n)
	for i := range all {
		all[i].N = i
	}
	return all
}

// B1: several bars at once, for Maps and Streams that succeed, fail or have no known end, and lines
// that the program prints above them.
func TestBars(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := t.Context()
	x := newTerminal(t)
	d := progress.Start(progress.Config{Output: x.File})
	pool := newPool(t, mp.PoolConfig{Workers: 2})
	var all sync.WaitGroup
	all.Go(func() {
		in := jobs(200)
		in[3].N, in[99].N = -1, -1
		_, _ = mp.Map(ctx, pool, work, in, mp.AllErrors(), d.Bar("whole"))
	})

	all.Go(func() {
		in := jobs(50)
		in[20].N = -1
		_, _ = mp.Map(ctx, pool, work, in, mp.ChunkSize(1), d.Bar("fails"))
	})

	all.Go(func() {
		input := func(yield func(job) bool) {
			for i := range 70 {
				if !yield(job{N: i}) {
					return
				}
			}
		}
		for range mp.Stream(ctx, pool, work, input, d.BarOf("stream", 70)) {
		}
	})

	for i := range 100 {
		fmt.Fprintf(d, "line %d has", i)
		fmt.Fprintf(d, " its end\n")
	}

	all.Wait()
	fmt.Fprint(d, "no end")
	if err := errors.Join(d.Close(), d.Close()); err != nil {
		t.Error(err)
	}
	fmt.Fprint(d, " of a line\n")
	lines := x.end()
	for _, parts := range [][]string{{"whole", "200/200", "/s", " in ", "2 failed"}, {"fails", "/50", "1 failed"}, {"stream", "70/70"}, {"no end of a line"}} {
		if !find(lines, parts...) {
			t.Errorf("nothing of %q in\n%s", parts, strings.Join(lines, "\n"))
		}
	}

	for i := range 100 {
		if n := count(lines, fmt.Sprintf("line %d has its end", i)); n != 1 {
			t.Errorf("line %d is there %d times", i, n)
		}
	}
}

func count(lines []string, line string) (n int) {
	for _, l := range lines {
		if l == line {
			n++
		}
	}
	return n
}

// Lines that workers print appear above the bars, whole and only once.
func TestOutputOfWorkers(t *testing.T) {
	mptest.NoLeaks(t)
	x := newTerminal(t)
	stdout, stderr := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = x.File, x.File
	defer func() { os.Stdout, os.Stderr = stdout, stderr }()
	d := progress.Start(progress.Config{})
	pool := newPool(t, mp.PoolConfig{Workers: 2})
	in := jobs(300)
	for i := range in {
		in[i].Line = fmt.Sprintf("job %d was done", i)
	}

	if _, err := mp.Map(t.Context(), pool, work, in, d.Bar("printing")); err != nil {
		t.Error(err)
	}

	if err := errors.Join(pool.Shutdown(t.Context()), d.Close()); err != nil { // all output has arrived
		t.Error(err)
	}
	os.Stdout, os.Stderr = stdout, stderr
	lines := x.end()
	if !find(lines, "printing", "300/300") {
		t.Error("no bar in\n", strings.Join(lines, "\n"))
	}

	for _, j := range in {
		if n := count(lines, j.Line); n != 2 {
			t.Errorf("%q is there %d times", j.Line, n)
		}
	}
}

// Without a terminal, no bars are shown, and lines pass through unchanged.
func TestNoTerminal(t *testing.T) {
	mptest.NoLeaks(t)
	var out, always bytes.Buffer
	silent := progress.Start(progress.Config{Output: &out})
	shown := progress.Start(progress.Config{Output: &always, Always: true})
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	for range 2 { // one after the other
		if _, err := mp.Map(t.Context(), pool, work, jobs(10), silent.Bar("silent"), shown.Bar("shown")); err != nil {
			t.Error(err)
		}
	}

	fmt.Fprint(silent, "a", "b")
	if err := errors.Join(silent.Close(), shown.Close()); err != nil {
		t.Error(err)
	}

	if _, err := mp.Map(t.Context(), pool, work, jobs(10), silent.Bar("late"), shown.Bar("late")); err != nil {
		t.Error(err)
	}
	if out.String() != "ab" {
		t.Errorf("%q", out.String())
	}
	if lines := linesOf(always.String()); !find(lines, "shown", "10/10") || find(lines, "late") {
		t.Errorf("%q", lines)
	}
}

// If a display is closed while a Map runs, the Map's bar stays as it is.
func TestCloseEarly(t *testing.T) {
	mptest.NoLeaks(t)
	event, err := ipc.NewEvent()
	if err != nil {
		t.Fatal(err)
	}

	defer event.Close()
	d := progress.Start(progress.Config{Output: io.Discard, Always: true})
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	follow, updates := progress.Updates()
	out := mp.MapAsync(t.Context(), pool, work, []job{{N: 1}, {N: 2, Go: event}}, mp.ChunkSize(1), d.Bar("early"), follow)
	for p := range updates {
		if p.Done == 1 {
			break
		}
	}

	if err := d.Close(); err != nil {
		t.Error(err)
	}

	if err := event.Set(); err != nil {
		t.Error(err)
	}
	last := mp.Progress{}
	for p := range updates {
		last = p
	}
	if last.Done != 2 || !last.Over || last.Elapsed <= 0 {
		t.Errorf("%+v", last)
	}
	if _, err := out.Result(t.Context()); err != nil {
		t.Error(err)
	}
}
