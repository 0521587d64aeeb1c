//go:build linux

package mp_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
)

// A deed is what a task of chaos does once it has noted its number.
type deed int

const (
	answer deed = iota
	answerLarge
	work
	fail
	panicking
	goexit
	exits
	aborts
	scribbles // writes over memory that it shares with its parent
	heed      // waits for its context
	ignore    // waits for ever
	wedged    // waits for ever in the kernel
	deeds
)

// mayHang reports whether the task ends only by a timeout or a cancel.
func (d deed) mayHang() bool { return d >= heed }

type chaosTask struct {
	N     uint64
	Deed  deed
	Notes string // the file in which it notes that it runs; scribblers note their process in another, see scribblers
	Hangs string // a file that hangs who opens it
}

// scribblers is the file of those who write over shared memory.
func scribblers(notes string) string { return notes + ".scribblers" }

var errChaos = mp.RegisterError(errors.New("chaos"))

var doChaos = mp.Register("chaos", func(ctx context.Context, t chaosTask) ([]byte, error) {
	if err := t.note(); err != nil {
		return nil, err
	}
	switch t.Deed {
	case answerLarge:
		return append(t.result(), make([]byte, 200<<10)...), nil
	case work:
		if burn(300_000) == 0 {
			return nil, errors.New("cannot be")
		}
	case fail:
		return nil, fmt.Errorf("task %d: %w", t.N, errChaos)
	case panicking:
		panic(fmt.Sprint("task ", t.N))
	case goexit:
		runtime.Goexit()
	case exits:
		os.Exit(3)
	case aborts:
		_ = syscall.Kill(os.Getpid(), syscall.SIGABRT)
		select {}
	case scribbles:
		if err := noteDown(scribblers(t.Notes), uint64(os.Getpid())); err != nil {
			return nil, err
		}
		if err := overwriteShared(); err != nil {
			return nil, err
		}
	case heed:
		<-ctx.Done()
		return nil, ctx.Err()
	case ignore:
		select {}
	case wedged:
		_, err := os.ReadFile(t.Hangs)
		return nil, fmt.Errorf("it hangs no more: %w", err)
	}
	return t.result(), nil
})

func (t chaosTask) note() error { return noteDown(t.Notes, t.N) }

// noteDown appends a number to a file.
func noteDown(file string, n uint64) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write(binary.LittleEndian.AppendUint64(nil, n))
	return err
}

// notedIn returns the numbers in a file.
func notedIn(t *testing.T, file string) (all []uint64) {
	t.Helper()
	notes, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for ; len(notes) >= 8; notes = notes[8:] {
		all = append(all, binary.LittleEndian.Uint64(notes))
	}
	return all
}

// overwriteShared writes noise in some places of the memory that this worker shares with its parent.
func overwriteShared() error {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return err
	}
	mem, err := os.OpenFile("/proc/self/mem", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer mem.Close()
	for line := range strings.Lines(string(maps)) {
		if !strings.Contains(line, "/memfd:mp-") || !strings.Contains(line, " rw-s ") {
			continue
		}
		var lo, hi int64
		if _, err := fmt.Sscanf(line, "%x-%x", &lo, &hi); err != nil {
			return err
		}
		for range 1 + rand.IntN(8) {
			b := make([]byte, 1+rand.Int64N(min(hi-lo, 64<<10)))
			for i := range b {
				b[i] = byte(rand.Uint32())
			}
			room := hi - lo - int64(len(b)) + 1
			if rand.IntN(2) == 0 {
				room = min(room, 64<<10) // where most of what matters is
			}
			if _, err := mem.WriteAt(b, lo+rand.Int64N(room)); err != nil {
				return err
			}
		}
		return nil
	}
	return errors.New("it shares nothing")
}

func (t chaosTask) result() []byte { return binary.LittleEndian.AppendUint64(nil, t.N) }

// newChaosTask makes a task that as a rule does what it should.
func newChaosTask(r *rand.Rand, n uint64, notes string) chaosTask {
	d := deed(r.IntN(int(fail)))
	if r.IntN(12) == 0 {
		d = deed(r.IntN(int(wedged))) // those are few, see chaos.tasks
	}
	return chaosTask{N: n, Deed: d, Notes: notes}
}

// circumstances are what else may have decided over a task.
type circumstances struct {
	cancelled bool // its context may have ended
	timed     bool // it had a timeout
	closed    bool // the pool was closed under it
	starved   bool // workers could not be started for a while
}

// judge returns what is wrong with an outcome; "" if nothing is.
func (t chaosTask) judge(out []byte, err error, c circumstances) string {
	if err == nil {
		if t.Deed >= fail && t.Deed != scribbles || len(out) < 8 || binary.LittleEndian.Uint64(out) != t.N || (len(out) > 8) != (t.Deed == answerLarge) {
			return fmt.Sprintf("%d bytes of result", len(out))
		}
		return ""
	}
	if t.expects(err) || c.explain(err) {
		return ""
	}
	return err.Error()
}

// expects reports whether that is the error with which the deed ends.
func (t chaosTask) expects(err error) bool {
	var p *mp.PanicError
	var w *mp.WorkerError
	switch t.Deed {
	case fail:
		return errors.Is(err, errChaos) && err.Error() == fmt.Sprintf("task %d: chaos", t.N)
	case panicking:
		return errors.As(err, &p) && p.Value == fmt.Sprint("task ", t.N)
	case goexit:
		return errors.Is(err, mp.ErrGoexit)
	case exits:
		return errors.As(err, &w) && w.Reason == mp.ReasonExit && w.ExitCode == 3
	case aborts:
		return errors.As(err, &w) && (w.Signal == syscall.SIGABRT || w.Reason == mp.ReasonFatal)
	}
	return false
}

// explain reports whether the error is that of what was done to the task: its
// worker killed, its context ended, its time over, its pool closed.
func (c circumstances) explain(err error) bool {
	var w *mp.WorkerError
	var start *mp.StartError
	switch {
	case errors.As(err, &start):
		return c.starved
	case errors.As(err, &w) && w.Cause == nil:
		return w.Signal == syscall.SIGKILL
	case errors.Is(err, context.DeadlineExceeded):
		return c.timed
	case errors.Is(err, context.Canceled):
		return c.cancelled
	case errors.Is(err, mp.ErrClosed):
		return c.closed
	}
	return false
}

// chaosTimeout is long enough for a worker that is stopped for a while, as a
// rule, and short enough for those that hang.
const chaosTimeout = 100 * time.Millisecond
