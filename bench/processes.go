package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

// Rows that measure shared objects start processes for each round. The processes warm up and wait
// for each other before the measured time begins.

// stint is a process's report about its part of a round.
type stint struct {
	PID        int
	Begin, End time.Duration // on the clock that all processes share
}

func clock() (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0, os.NewSyscallError("clock_gettime", err)
	}
	return time.Duration(t.Nano()), nil
}

// timed does a tenth of n laps to warm up, waits at the gate until all processes are there, and
// then does and times n laps.
func timed(ctx context.Context, gate *ipc.Barrier, n int, laps func(n int) error) (r stint, err error) {
	r.PID = os.Getpid()
	if err := laps(warmLaps(n)); err != nil {
		return r, err
	}
	if _, err := gate.Wait(ctx); err != nil {
		return r, err
	}
	if r.Begin, err = clock(); err != nil {
		return r, err
	}
	if err := laps(n); err != nil {
		return r, err
	}
	r.End, err = clock()
	return r, err
}

func warmLaps(n int) int { return n / 10 }

// inProcesses runs f in one process for each argument, all at the same time, and returns the time
// from the earliest begin to the latest end.
func inProcesses[In any](ctx context.Context, f *mp.Func[In, stint], args ...In) (took time.Duration, err error) {
	return inPinned(ctx, f, make([]mp.Limits, len(args)), args...)
}

// inPinned is like inProcesses, but with limits for each process, such as the processor on which
// the process runs.
func inPinned[In any](ctx context.Context, f *mp.Func[In, stint], limits []mp.Limits, args ...In) (took time.Duration, err error) {
	all := make([]*mp.Process[stint], 0, len(args))
	defer func() {
		for _, p := range all {
			if err != nil {
				_ = p.Kill()
			}
			<-p.Done()
		}
	}()

	for i, arg := range args {
		p, err := mp.NewProcess(f, arg, mp.ProcessConfig{Limits: limits[i]})
		if err == nil {
			err = p.Start()
		}
		if err != nil {
			return 0, err
		}
		all = append(all, p)
	}

	stints, err := waitForAll(ctx, all)
	if err != nil {
		return 0, err
	}
	pids := []int{os.Getpid()}
	for i, r := range stints {
		if r.PID != all[i].PID() {
			return 0, fmt.Errorf("process %d says that it is %d", all[i].PID(), r.PID)
		}
		pids = append(pids, r.PID)
	}

	return span(stints), allElsewhere(pids)
}

// waitForAll returns the processes' reports, or the first error. After an error it stops waiting,
// since the other processes may never end.
func waitForAll(ctx context.Context, all []*mp.Process[stint]) ([]stint, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stints := make([]stint, len(all))
	var waits sync.WaitGroup
	for i, p := range all {
		waits.Go(func() {
			var err error
			if stints[i], err = p.Wait(ctx); err != nil {
				cancel(err)
			}
		})
	}
	waits.Wait()
	return stints, context.Cause(ctx)
}

func span(stints []stint) time.Duration {
	begin, end := stints[0].Begin, stints[0].End
	for _, r := range stints {
		begin, end = min(begin, r.Begin), max(end, r.End)
	}
	return end - begin
}

// allElsewhere checks that all processes are different. The first process is the one that measures.
func allElsewhere(pids []int) error {
	sorted := slices.Sorted(slices.Values(pids))
	if sorted[0] <= 0 || len(slices.Compact(sorted)) < len(pids) {
		return fmt.Errorf("not every part ran in a process of its own: %v", pids)
	}
	return nil
}

// perSecond returns the rate per second of n operations that took the given time together.
func perSecond(took time.Duration, n int) float64 { return float64(n) / took.Seconds() }

// nanoseconds returns the mean time of n operations that took the given time together.
func nanoseconds(took time.Duration, n int) float64 { return took.Seconds() * 1e9 / float64(n) }

// onProcesses returns an opener for a side whose rounds start processes of mp.
func onProcesses(round func(ctx context.Context, b *bench) (float64, error)) opener {
	return func(ctx context.Context, b *bench) (side, error) {
		return side{round: func() (float64, error) { return round(ctx, b) }, close: func() {}}, nil
	}
}

// A shop makes shared objects and closes them together.
type shop struct {
	errs    []error
	objects []interface{ Close() error }
}

// made records the result of a constructor.
func made[T interface{ Close() error }](s *shop, object T, err error) T {
	if err != nil {
		s.errs = append(s.errs, err)
		return object
	}
	s.objects = append(s.objects, object)
	return object
}

func (s *shop) err() error { return errors.Join(s.errs...) }

func (s *shop) close() {
	for _, o := range s.objects {
		_ = o.Close()
	}
}
