package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/go-multiprocessing/mp"
)

// An outcome is a task and its result.
type outcome struct {
	task
	Thumbnail
	err error
}

// An ending is the way in which a hostile task ended.
type ending struct {
	kind   string
	reason mp.Reason
	status string
}

const (
	workerError = "WorkerError"
	panicError  = "PanicError"
)

func endingOf(err error) ending {
	var dead *mp.WorkerError
	var panicked *mp.PanicError
	switch {
	case errors.As(err, &panicked):
		return ending{panicError, "panic", "its worker lives"}
	case errors.As(err, &dead) && dead.Signal != 0:
		return ending{workerError, dead.Reason, fmt.Sprintf("signal %d (%v)", int(dead.Signal), dead.Signal)}
	case dead != nil:
		return ending{workerError, dead.Reason, fmt.Sprintf("exit code %d", dead.ExitCode)}
	}
	return ending{"none of mp's", mp.Reason(fmt.Sprint(err)), ""}
}

// A report is the result of a run.
type report struct {
	dir              string
	good, bad        int // pictures as found
	decoded, refused int // copies broken here: the ones that can be decoded all the same, and the others
	hostile          []outcome
	workers          int
	complaints       []error
}

// newReport compares the workers' results for pictures with results that it computes in this
// process, which is safe because no picture is hostile.
func newReport(dir string, all []outcome) *report {
	r := &report{dir: dir}
	for _, o := range all {
		if o.Deed != "" {
			r.hostile = append(r.hostile, o)
			continue
		}
		want, err := scaled(o.Data)
		r.count(o.Copy, err == nil)
		if !want.equal(o.Thumbnail) || fmt.Sprint(err) != fmt.Sprint(o.err) {
			r.complain("%s: a worker got error %v, this process %v", o.Name, o.err, err)
		}
	}
	r.judge()
	return r
}

func (r *report) count(isCopy, ok bool) {
	switch {
	case isCopy && ok:
		r.decoded++
	case isCopy:
		r.refused++
	case ok:
		r.good++
	default:
		r.bad++
	}
}

// judge checks that each hostile task ended as expected.
func (r *report) judge() {
	for _, d := range deeds {
		for _, o := range r.hostile {
			if o.Deed == d.what && !d.accepts(o.err) {
				r.complain("the task that %s ended as %v, not as %v: %w", d.what, endingOf(o.err), d.want, o.err)
			}
		}
	}
}

func (r *report) complain(format string, args ...any) {
	r.complaints = append(r.complaints, fmt.Errorf(format, args...))
}

// complaint returns an error with the first few complaints, or nil if everything is as expected.
func (r *report) complaint() error {
	const most = 5
	all := r.complaints
	if more := len(all) - most; more > 0 {
		all = append(all[:most:most], fmt.Errorf("and %d more", more))
	}
	return errors.Join(all...)
}

func (r *report) write(w io.Writer) error {
	fmt.Fprintf(w, "%d pictures below %s: %d good, %d already broken\n", r.good+r.bad, r.dir, r.good, r.bad)
	fmt.Fprintf(w, "%d copies broken here: %d decoded all the same, %d refused with an error\n\n", r.decoded+r.refused, r.decoded, r.refused)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "and a task that\tended as\tfor the reason\twith")
	for _, o := range r.hostile {
		e := endingOf(o.err)
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\n", o.Deed, e.kind, e.reason, e.status)
	}
	if err := table.Flush(); err != nil || len(r.complaints) > 0 {
		return err
	}
	_, err := fmt.Fprintf(w, "\nall %d good pictures have their thumbnail; the pool is at full strength: %d workers\n", r.good, r.workers)
	return err
}
