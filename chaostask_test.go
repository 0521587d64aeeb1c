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

// A deed is what a task of TestChaos does after it has noted its number.
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
	heed      // waits until its context ends
	ignore    // waits forever
	wedged    // waits forever in the kernel
	deeds
)

// mayHang reports whether the task ends only if its context ends.
func (d deed) mayHang() bool { return d >= heed }

type chaosTask struct {
	N     uint64
	Deed  deed
	Notes string // the file in which the task notes its number
	Hangs string // a file whose readers hang in the kernel
}

// scribblers returns the file in which tasks that write over shared memory note their process.
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

// overwriteShared writes noise to a few random places of the memory that this worker shares with
// its parent.
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
				room = min(room, 64<<10) // most of the important data is there
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

// newChaosTask returns a random task. Most of the tasks succeed.
func newChaosTask(r *rand.Rand, n uint64, notes string) chaosTask {
	d := deed(r.IntN(int(fail)))
	if r.IntN(12) == 0 {
		d = deed(r.IntN(int(wedged))) // chaos.tasks adds the few wedged ones
	}
	return chaosTask{N: n, Deed: d, Notes: notes}
}

// circumstances are events other than the deed that may have decided the outcome of a task.
type circumstances struct {
	cancelled bool // its context may have ended
	timed     bool // it had a timeout
	closed    bool // the pool was closed while the task was waiting or running
	starved   bool // workers could not be started for a while
}

// judge returns what is wrong with an outcome, or "".
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

// expects reports whether err is the error that the deed causes.
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

// explain reports whether the circumstances explain err.
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

// chaosTimeout is long enough for most tasks whose worker is stopped for a while, and short enough
// for tests with tasks that hang.
const chaosTimeout = 100 * time.Millisecond
