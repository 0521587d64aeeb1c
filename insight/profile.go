package insight

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/google/pprof/profile"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/ask"
)

// patience is how long a worker may take to answer, beside the time that it measures: one that is
// stopped does not.
const patience = 10 * time.Second

// CPUProfile measures for d where all workers of the pool that are in service spend their processor
// time, in C as well, and writes one gzipped profile for go tool pprof to w. Each of its samples has
// the labels mp_worker, the worker's place in the pool, and mp_pid: -tagfocus and -tagroot mp_worker tell
// them apart.
//
// When ctx ends, its error is returned and the measuring ends. Of a worker that ends meanwhile
// nothing is there, and a comment in the profile says so. If others have no answer, because their task is
// itself profiling for instance, or they are stopped for longer than ten seconds, what all the others have
// measured is written, and the error says which; so it does if there is no worker, and then nothing
// is written. Two at a time are an error. It costs the workers about what [runtime/pprof] does.
func CPUProfile(ctx context.Context, pool *mp.Pool, d time.Duration, w io.Writer) error {
	if d <= 0 {
		return fmt.Errorf("mp/insight: a CPU profile of %v: the time must be positive", d)
	}
	return collect(ctx, pool, wanted{CPU: d}, w)
}

// Profile writes one profile of all workers of the pool that are in service, of those that
// runtime/pprof knows: "heap", "allocs", "goroutine", "block", "mutex", "threadcreate". Labels and
// errors are as with [CPUProfile]. The workers do not collect their garbage for it: "heap" is as of the
// last collection.
func Profile(ctx context.Context, pool *mp.Pool, name string, w io.Writer) error {
	if name == "" {
		return errors.New("mp/insight: a profile without a name")
	}
	return collect(ctx, pool, wanted{Name: name}, w)
}

// collect asks all workers, merges their answers and writes the whole.
func collect(ctx context.Context, pool *mp.Pool, what wanted, w io.Writer) error {
	limited, cancel := context.WithTimeout(ctx, min(what.CPU, math.MaxInt64-patience)+patience)
	defer cancel()
	replies, err := ask.Pool(limited, pool, question, what.encode())
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(replies) == 0 {
		return errors.New("mp/insight: the pool has no workers in service; Pool.Ready waits for those of a new one")
	}
	merged, err := merge(replies)
	if merged == nil {
		return err
	}
	return errors.Join(err, merged.Write(w))
}

// merge makes one profile of all that have come, nil if none has. What is missing is an error, or a
// comment if it could not be otherwise.
func merge(replies []ask.Reply) (*profile.Profile, error) {
	var parts []*profile.Profile
	var missing []string
	var errs []error
	longest := int64(0)
	for _, r := range replies {
		p, err := part(r)
		switch {
		case errors.Is(err, ask.ErrEnded):
			missing = append(missing, fmt.Sprintf("worker %d (pid %d) ended meanwhile: nothing of it is here", r.Worker, r.PID))
		case err != nil:
			errs = append(errs, fmt.Errorf("mp/insight: worker %d (pid %d): %w", r.Worker, r.PID, err))
		default:
			parts = append(parts, p)
			longest = max(longest, p.DurationNanos)
		}
	}
	if len(parts) == 0 {
		if len(errs) == 0 {
			errs = append(errs, errors.New("mp/insight: all workers ended meanwhile"))
		}
		return nil, errors.Join(errs...)
	}
	merged, err := profile.Merge(parts)
	if err != nil {
		return nil, errors.Join(append(errs, fmt.Errorf("mp/insight: %w", err))...)
	}
	merged.DurationNanos = longest // they measured at the same time
	merged.Comments = append(merged.Comments, missing...)
	return merged, errors.Join(errs...)
}

// part is a worker's profile with its labels.
func part(r ask.Reply) (*profile.Profile, error) {
	if r.Err != nil {
		return nil, r.Err
	}
	p, err := profile.Parse(bytes.NewReader(r.Data))
	if err != nil {
		return nil, fmt.Errorf("its profile cannot be read: %w", err)
	}
	for _, s := range p.Sample {
		if s.Label == nil {
			s.Label = map[string][]string{}
		}
		s.Label["mp_worker"] = []string{fmt.Sprint(r.Worker)}
		s.Label["mp_pid"] = []string{fmt.Sprint(r.PID)}
	}
	return p, nil
}
