//go:build linux

package deaths

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"github.com/go-multiprocessing/mp"
)

// Own is an error type of a task's own.
type Own struct{ N int }

func (*Own) Error() string { return "an error of its own type" }

// Stubborn is an error that cannot be encoded.
type Stubborn struct{}

func (*Stubborn) Error() string { return "it will not travel" }

// MarshalBinary fails.
func (*Stubborn) MarshalBinary() ([]byte, error) { return nil, errors.New("it will not be marshalled") }

// UnmarshalBinary is never called.
func (*Stubborn) UnmarshalBinary([]byte) error { return nil }

func init() {
	mp.RegisterErrorType[*Own]()
	mp.RegisterErrorType[*Stubborn]()
}

// returns describes what a caller got, in the words of the table.
func returns(err error) string {
	var own *Own
	switch {
	case err == nil:
		return theResult
	case workerError(err) != nil:
		return died
	case errors.As(err, new(*mp.PanicError)):
		return panicked
	case errors.Is(err, mp.ErrGoexit):
		return goexit
	case errors.Is(err, context.DeadlineExceeded):
		return tooLate
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENXIO), errors.As(err, &own) && own.N == 7:
		return theError
	case strings.Contains(err.Error(), (&Stubborn{}).Error()):
		return theText
	}

	return "an unknown error: " + err.Error()
}

func workerError(err error) *mp.WorkerError {
	var w *mp.WorkerError
	if errors.As(err, &w) {
		return w
	}
	return nil
}

// judge describes what is wrong with the error of the task that died, or returns "".
func (r Row) judge(err error) string {
	if got := returns(err); got != r.Returns {
		return "it returns " + got + ", not " + r.Returns + ": " + text(err)
	}
	w := workerError(err)
	if w == nil {
		return ""
	}

	late := r.Needs == Deadline
	switch {
	case !slices.Contains(r.fates(), fateOf(w)), !strings.Contains(w.Stderr, r.Stderr):
		return "it died otherwise: " + text(err) + "\n" + w.Stderr
	case late != errors.Is(err, context.DeadlineExceeded):
		return "it has another cause: " + text(err)
	case strings.Contains(err.Error(), "\n"):
		return "its error is more than a line: " + text(err)
	}
	return ""
}

// fates returns all fates that the row allows.
func (r Row) fates() []Fate { return append([]Fate{{r.Reason, r.End}}, r.Or...) }

func fateOf(w *mp.WorkerError) Fate {
	if w.ExitCode == -1 { // an unknown signal must not look like SIGHUP, which is 1
		return Fate{w.Reason, End(-w.Signal)}
	}
	return Fate{w.Reason, End(w.ExitCode)}
}

func text(err error) string {
	if err == nil {
		return "<nil>"
	}
	return err.Error()
}
