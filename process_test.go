//go:build linux

package mp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/mptest"
)

func newProcess[In, Out any](t *testing.T, f *mp.Func[In, Out], arg In, c mp.ProcessConfig) *mp.Process[Out] {
	t.Helper()
	mptest.NoLeaks(t)
	p, err := mp.NewProcess(f, arg, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.Alive() {
			_ = p.Kill()
			<-p.Done()
		}
	})
	return p
}

func startProcess[In, Out any](t *testing.T, f *mp.Func[In, Out], arg In, c mp.ProcessConfig) *mp.Process[Out] {
	t.Helper()
	p := newProcess(t, f, arg, c)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

func isChild(pid int) bool {
	for _, c := range mp.Children() {
		if c.PID == pid {
			return true
		}
	}
	return false
}

func done(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// P1 P2 P3 P8 P11 P12 P19 P20: the life of a process.
func TestProcessLife(t *testing.T) {
	open, name := newFIFO(t)
	p := newProcess(t, wait, waiting{FIFO: name, Heed: true}, mp.ProcessConfig{})
	if _, ok := p.ExitCode(); p.PID() != 0 || ok || p.Alive() || done(p.Done()) {
		t.Error("it is not as it must be before its start")
	}
	if _, err := p.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "not been started") {
		t.Errorf("Wait before the start: %v", err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err == nil || !strings.Contains(err.Error(), "started before") {
		t.Errorf("the second start: %v", err)
	}

	end := open()
	if _, ok := p.ExitCode(); p.PID() <= 0 || ok || !p.Alive() || done(p.Done()) || !isChild(p.PID()) {
		t.Error("it is not as it must be while it runs")
	}

	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Wait(over); !errors.Is(err, context.Canceled) || !p.Alive() {
		t.Errorf("Wait with an ended context: %v", err)
	}
	if err := p.Close(); !errors.Is(err, mp.ErrRunning) {
		t.Errorf("Close of a running process: %v", err)
	}
	if err := p.Terminate(); err != nil {
		t.Error(err)
	}

	<-p.Done()
	end()
	for range 2 {
		_, err := p.Wait(over)
		var w *mp.WorkerError
		if !errors.As(err, &w) || w.Signal != syscall.SIGTERM {
			t.Errorf("got %v", err)
		}
	}

	if code, ok := p.ExitCode(); code != -15 || !ok || p.Alive() || isChild(p.PID()) { // P13
		t.Errorf("exit code %d, %t", code, ok)
	}
	if err := errors.Join(p.Terminate(), p.Kill(), p.Close(), p.Close()); err != nil {
		t.Error(err)
	}
	if _, err := p.Wait(t.Context()); !errors.Is(err, mp.ErrClosed) {
		t.Errorf("Wait after Close: %v", err)
	}
	if err := p.Kill(); !errors.Is(err, mp.ErrClosed) {
		t.Errorf("Kill after Close: %v", err)
	}
}

// P3 P4 P14 P15 P16 P17: how processes end.
func TestProcessEnds(t *testing.T) {
	var stderr bytes.Buffer
	for _, c := range []struct {
		how  string
		code int
		want func(error) bool
	}{
		{"fine", 1, func(err error) bool { return err != nil && err.Error() == "fine" }},
		{"exit 0", 0, func(err error) bool { return reason(err) == mp.ReasonExit }},
		{"exit 3", 3, func(err error) bool { return reason(err) == mp.ReasonExit }},
		{"SIGKILL", -9, func(err error) bool { return reason(err) == mp.ReasonSignal }},
		{"panic", 2, func(err error) bool { return errors.As(err, new(*mp.PanicError)) }},
		{"goexit", 1, func(err error) bool { return errors.Is(err, mp.ErrGoexit) }},
		{"goroutine panic", 2, func(err error) bool { return reason(err) == mp.ReasonFatal }},
	} {
		stderr.Reset()
		p := startProcess(t, dieIn, c.how, mp.ProcessConfig{Output: mp.Output{Stderr: &stderr}})
		_, err := p.Wait(t.Context())
		if code, ok := p.ExitCode(); code != c.code || !ok || !c.want(err) {
			t.Errorf("%s: exit code %d, %v", c.how, code, err)
		}

		if c.how == "panic" && (!strings.Contains(stderr.String(), "panic: here") || !strings.Contains(stderr.String(), "dieBy")) {
			t.Errorf("a panic's stderr: %q", stderr.String())
		}
	}

	p := startProcess(t, square, 12, mp.ProcessConfig{})
	v, err := p.Wait(t.Context())
	if code, ok := p.ExitCode(); v != 144 || err != nil || code != 0 || !ok {
		t.Errorf("%d, %v, exit code %d", v, err, code)
	}

	large := startProcess(t, blobOut, 20<<20, mp.ProcessConfig{})
	if b, err := large.Wait(t.Context()); len(b) != 20<<20 || err != nil {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

func reason(err error) mp.Reason {
	var w *mp.WorkerError
	if !errors.As(err, &w) {
		return ""
	}
	return w.Reason
}

type lineage struct {
	Me     mp.ProcessInfo
	Parent mp.ProcessInfo
	Child  string // the names of a child and of its child
	Read   int    // from standard input
	Args   int
}

var (
	dieIn   = mp.Register("dieIn", func(_ context.Context, how string) (int, error) { return 0, dieBy(how) })
	descent *mp.Func[int, lineage]
)

// descent refers to itself. A package variable must not do that in its initializer, so an init
// function registers it.
func init() {
	descent = mp.Register("descent", func(ctx context.Context, depth int) (l lineage, err error) {
		l.Me, l.Parent = mp.Current(), *mp.Parent()
		l.Read, _ = os.Stdin.Read(make([]byte, 10))
		if depth == 0 {
			return l, nil
		}

		var names []string
		for range 2 {
			p, err := mp.NewProcess(descent, depth-1, mp.ProcessConfig{})
			if err != nil {
				return l, err
			}
			if err := p.Start(); err != nil {
				return l, err
			}
			c, err := p.Wait(ctx)
			if err != nil {
				return l, err
			}
			names = append(names, c.Me.Name+" of "+c.Parent.Name)
		}

		l.Child = strings.Join(names, ", ")
		return l, nil
	})
}

// P5 P9 P25: names show the lineage, a process knows itself and its parent, and its standard input
// is empty.
func TestProcessLineage(t *testing.T) {
	if mp.Parent() != nil || mp.Current().Name != "main" || mp.Current().PID != os.Getpid() {
		t.Errorf("here: %+v, child of %+v", mp.Current(), mp.Parent())
	}

	p := startProcess(t, descent, 1, mp.ProcessConfig{Daemon: true}) // P7: a daemon can have children
	if !strings.HasPrefix(p.Name(), "worker-") || !p.Daemon() {
		t.Errorf("it is %s", p.Name())
	}

	l, err := p.Wait(t.Context())
	want := lineage{
		Me: mp.ProcessInfo{Name: p.Name(), PID: p.PID(), Daemon: true}, Parent: mp.ProcessInfo{Name: "main", PID: os.Getpid()},
		Child: fmt.Sprintf("%s:1 of %s, %s:2 of %s", p.Name(), p.Name(), p.Name(), p.Name()),
	}
	if l != want || err != nil {
		t.Errorf("got %+v, %v, want %+v", l, err, want)
	}
	named := startProcess(t, descent, 0, mp.ProcessConfig{Name: "Fred"})
	if l, err := named.Wait(t.Context()); l.Me.Name != "Fred" || named.Name() != "Fred" || err != nil {
		t.Errorf("got %+v, %v", l, err)
	}
}

// P6: WaitChildren waits for all processes except daemons.
func TestWaitChildren(t *testing.T) {
	open, name := newFIFO(t)
	daemon := startProcess(t, wait, waiting{FIFO: name, Heed: true}, mp.ProcessConfig{Daemon: true})
	defer open()()
	file := filepath.Join(t.TempDir(), "notes")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		startProcess(t, note, noted{N: i, File: file}, mp.ProcessConfig{})
	}

	if err := mp.WaitChildren(t.Context()); err != nil {
		t.Fatal(err)
	}
	if notes, err := os.ReadFile(file); len(notes) != 6 || err != nil {
		t.Errorf("%q, %v", notes, err)
	}
	if !daemon.Alive() || len(mp.Children()) != 1 {
		t.Errorf("children: %+v", mp.Children())
	}

	stays := startProcess(t, wait, waiting{FIFO: name, Heed: true}, mp.ProcessConfig{})
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := mp.WaitChildren(over); !errors.Is(err, context.Canceled) || !stays.Alive() {
		t.Errorf("got %v", err)
	}
}

// A process that cannot be started, or whose argument cannot be sent, reports an error and leaves
// nothing.
func TestProcessThatCannotRun(t *testing.T) {
	if _, err := mp.NewProcess(square, 1, mp.ProcessConfig{Limits: mp.Limits{Nice: 30}}); err == nil {
		t.Error("a bad config passes")
	}

	p := newProcess(t, square, 1, mp.ProcessConfig{Executable: "/bin/true", Output: mp.Output{Stderr: io.Discard}})
	if err := p.Start(); !errors.As(err, new(*mp.StartError)) {
		t.Errorf("got %v", err)
	}

	cyclic := &ring{}
	cyclic.Next = cyclic
	mptest.NoLeaks(t)
	// The worker may be coming into service at that moment. Pinning it makes that moment longer.
	// Without GORACE, the race detector would delay every exit by a second.
	config := mp.ProcessConfig{Limits: mp.Limits{CPUs: [][]int{processors(t)}}, Env: []string{"GORACE=atexit_sleep_ms=0"}}
	for range 100 {
		q, err := mp.NewProcess(goRound, cyclic, config)
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Start(); err != nil {
			t.Fatal(err)
		}
		limit, stop := context.WithTimeout(t.Context(), never)
		_, err = q.Wait(limit)
		stop()
		if !errors.As(err, new(*mp.CodecError)) {
			t.Fatalf("got %v", err)
		}
	}
}

type ring struct{ Next *ring }

var goRound = mp.Register("goRound", func(context.Context, *ring) (int, error) { return 0, nil })

// Start does not check the config again: its errors are those of starting.
func TestDirectoryGoneBeforeStart(t *testing.T) {
	dir, err := os.MkdirTemp("", "mp-test-")
	if err != nil {
		t.Fatal(err)
	}
	p, err := mp.NewProcess(square, 3, mp.ProcessConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}

	var failed *mp.StartError
	if err := p.Start(); !errors.As(err, &failed) {
		t.Errorf("Start returned %v", err)
	}
}
