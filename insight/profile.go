package insight

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/pprof/profile"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/query"
)

// answerTimeout is how long a worker may take to answer, in addition to the time that it measures.
// A stopped worker never answers.
const answerTimeout = 10 * time.Second

// CPUProfile takes a CPU profile, for the duration d, of all workers of the pool that are in
// service. It writes the profile to w, gzipped, for go tool pprof. The profile includes time spent
// in C. Each sample has the labels mp_worker (the worker's slot in the pool) and mp_pid. Use
// -tagfocus or -tagroot mp_worker to tell workers apart.
//
// When ctx ends, CPUProfile stops measuring, writes nothing more, and returns ctx's error. If a
// worker ends while CPUProfile is measuring, the worker's part is missing, and a comment in the
// profile says that it is. If other workers do not answer, for instance because they are running a
// task that takes a CPU profile itself, or because they are stopped for more than ten seconds,
// CPUProfile writes the profile of the rest and returns an error that names the workers that did
// not answer. If the pool has no worker in service, CPUProfile waits at most d plus ten seconds
// until the workers have started. If there is still no worker after that, CPUProfile writes nothing
// and returns an error.
//
// Only one CPU profile of a worker can be taken at a time; a second CPUProfile returns an error.
// Profiling costs the workers about as much as [runtime/pprof] does. This process uses at most
// about 200 MB to read one worker's part, and at most 512 MB for all parts together. A part that
// exceeds these limits is left out, and the error names the worker.
func CPUProfile(ctx context.Context, pool *mp.Pool, d time.Duration, w io.Writer) error {
	if d <= 0 {
		return fmt.Errorf("mp/insight: a CPU profile of %v: the time must be positive", d)
	}
	return collect(ctx, pool, wanted{CPU: d}, w)
}

// Profile writes one profile of all workers of the pool that are in service. The name is that of a
// profile in runtime/pprof: "heap", "allocs", "goroutine", "block", "mutex" or "threadcreate".
// Labels and errors are as with [CPUProfile]. The workers do not run a garbage collection first, so
// "heap" shows the state at the last collection.
func Profile(ctx context.Context, pool *mp.Pool, name string, w io.Writer) error {
	if name == "" {
		return errors.New("mp/insight: a profile without a name")
	}
	return collect(ctx, pool, wanted{Name: name}, w)
}

// collect asks all workers, merges their answers and writes the merged profile.
func collect(ctx context.Context, pool *mp.Pool, what wanted, w io.Writer) error {
	limited, cancel := context.WithTimeout(ctx, what.limit())
	defer cancel()
	replies, err := query.Pool(limited, pool, question, what.encode())
	if err == nil && len(replies) == 0 { // the pool may be new
		if err := pool.Ready(limited); err != nil {
			return fmt.Errorf("mp/insight: the pool has no workers in service: %w", err)
		}
		replies, err = query.Pool(limited, pool, question, what.encode())
	}
	if err != nil {
		return err
	}

	if err := ctx.Err(); err != nil {
		return err
	}
	if len(replies) == 0 {
		return errors.New("mp/insight: the pool has no workers in service")
	}
	merged, err := merging(ctx, what, replies)
	if merged == nil {
		return err
	}

	return errors.Join(err, merged.Write(writer{ctx, w}))
}

// writer writes to w until ctx ends.
type writer struct {
	ctx context.Context
	w   io.Writer
}

func (w writer) Write(b []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.w.Write(b)
}

// merging runs merge in a goroutine. When ctx ends, merging returns without waiting for the
// goroutine: a step of merge takes at most a second, but cannot be interrupted.
func merging(ctx context.Context, what wanted, replies []query.Reply) (*profile.Profile, error) {
	type result struct {
		merged *profile.Profile
		err    error
	}

	done := make(chan result, 1)
	go func() {
		merged, err := merge(ctx, what, replies)
		done <- result{merged, err}
	}()

	select {
	case r := <-done:
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return r.merged, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// merge merges the profiles that have arrived. It returns nil if there are none. For each missing
// part, merge returns an error, or adds a comment to the profile if the worker has ended.
func merge(ctx context.Context, what wanted, replies []query.Reply) (*profile.Profile, error) {
	var all merger
	var missing []string
	var errs []error
	for _, r := range replies {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p, err := part(ctx, what, r)
		if err == nil {
			err = all.add(p)
		}

		switch {
		case errors.Is(err, query.ErrEnded):
			missing = append(missing, fmt.Sprintf("worker %d (pid %d) ended meanwhile: nothing of it is here", r.Worker, r.PID))
		case err != nil:
			errs = append(errs, fmt.Errorf("mp/insight: worker %d (pid %d): %w", r.Worker, r.PID, err))
		}
	}

	merged, err := all.merged()
	if err != nil {
		return nil, errors.Join(append(errs, fmt.Errorf("mp/insight: %w", err))...)
	}
	if merged == nil {
		if len(errs) == 0 {
			errs = append(errs, errors.New("mp/insight: all workers ended meanwhile"))
		}
		return nil, errors.Join(errs...)
	}

	merged.Comments = append(merged.Comments, missing...)
	return merged, errors.Join(errs...)
}

// part returns a worker's profile, with labels that name the worker.
func part(ctx context.Context, what wanted, r query.Reply) (*profile.Profile, error) {
	if r.Err != nil {
		return nil, r.Err
	}
	p, err := parse(ctx, r.Data)
	if err == nil {
		err = what.check(p)
	}
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
