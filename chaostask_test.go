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
	"syscall"
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
	heed   // waits for its context
	ignore // waits for ever
	deeds
)

// mayHang reports whether the task ends only by a timeout or a cancel.
func (d deed) mayHang() bool { return d == heed || d == ignore }

type chaosTask struct {
	N     uint64
	Deed  deed
	Notes string // the file in which it notes that it runs
}

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
	case heed:
		<-ctx.Done()
		return nil, ctx.Err()
	case ignore:
		select {}
	}
	return t.result(), nil
})

func (t chaosTask) note() error {
	f, err := os.OpenFile(t.Notes, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write(t.result())
	return err
}

func (t chaosTask) result() []byte { return binary.LittleEndian.AppendUint64(nil, t.N) }

// newChaosTask makes a task that as a rule does what it should.
func newChaosTask(r *rand.Rand, n uint64, notes string) chaosTask {
	d := deed(r.IntN(int(fail)))
	if r.IntN(12) == 0 {
		d = deed(r.IntN(int(deeds)))
	}
	return chaosTask{n, d, notes}
}

// circumstances are what else may have decided over a task.
type circumstances struct {
	cancelled bool // its context may have ended
	timed     bool // it had a timeout
	closed    bool // the pool was closed under it
}

// judge returns what is wrong with an outcome; "" if nothing is.
func (t chaosTask) judge(out []byte, err error, c circumstances) string {
	if err == nil {
		if t.Deed >= fail || len(out) < 8 || binary.LittleEndian.Uint64(out) != t.N || (len(out) > 8) != (t.Deed == answerLarge) {
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
	switch {
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
