//go:build linux

package attacks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-multiprocessing/mp"
)

// A bystander repeats an operation while a row runs.
type bystander struct {
	name     string
	attacked bool // its tasks run in the attacked pool, and may be lost with the attacker's worker
	round    func(ctx context.Context, n int) error
	every    time.Duration // minimum time between rounds; 0 means pace

	n int
}

// pace is the minimum time between rounds, so that the attack gets some processor time.
const pace = 10 * time.Millisecond

// run makes rounds until stop is closed, and one more round after that.
func (b *bystander) run(w *world, stop <-chan struct{}) {
	ticker := time.NewTicker(cmp.Or(b.every, pace))
	defer ticker.Stop()
	for last := false; !last; {
		select {
		case <-stop:
			last = true
		case <-ticker.C:
		}
		b.once(w, last)
	}
}

// once makes a round. The last round must succeed.
func (b *bystander) once(w *world, last bool) {
	// The pool may notice late, or twice, that the attacker's worker is corrupt.
	const most = 20
	for try := range most {
		b.n++
		began := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), CallTimeout)
		err := b.round(ctx, b.n)
		cancel()
		took := time.Since(began)

		if over := took - CallTimeout - w.bounds.Grace - Slack; over > 0 {
			w.fault("%s: a call with %v took %v", b.name, CallTimeout, took)
		}
		if err == nil || !b.mayFail(w, err) {
			if err != nil {
				w.fault("%s, round %d: %v", b.name, b.n, err)
			}
			return
		}

		if !last {
			return
		}
		if try == most-1 {
			w.fault("%s, the last round: %v", b.name, err)
		}
	}
}

// mayFail reports whether the docs allow a bystander's error: its task ran in the attacker's
// worker, or waited behind the attack in the worker's ring.
func (b *bystander) mayFail(w *world, err error) bool {
	if !b.attacked {
		return false
	}
	var dead *mp.WorkerError
	if errors.As(err, &dead) {
		w.lost(dead.PID)
		return true
	}
	var wrong *wrongResult
	return errors.As(err, &wrong) && w.row.own
}

// A wrongResult is the error of a bystander that got a wrong result.
type wrongResult struct{ got, want int }

func (e *wrongResult) Error() string { return fmt.Sprintf("the result is %d, not %d", e.got, e.want) }

func check(got, want int, err error) error {
	if err == nil && got != want {
		return &wrongResult{got, want}
	}
	return err
}

// callers returns bystanders that call, map and stream in a pool.
func callers(name string, pool *mp.Pool, attacked bool) []*bystander {
	const many = 40
	inputs := func(n int) []int {
		in := make([]int, many)
		for i := range in {
			in[i] = n + i
		}
		return in
	}

	return []*bystander{
		{name: "Call in " + name, attacked: attacked, round: func(ctx context.Context, n int) error {
			got, err := mp.Call(ctx, pool, double, n)
			return check(got, doubled(n), err)
		}},
		{name: "Map in " + name, attacked: attacked, round: func(ctx context.Context, n int) error {
			out, err := mp.Map(ctx, pool, double, inputs(n))
			if err != nil {
				return err
			}

			for i, got := range out {
				if err := check(got, doubled(n+i), nil); err != nil {
					return err
				}
			}
			return nil
		}},
		{name: "Stream in " + name, attacked: attacked, round: func(ctx context.Context, n int) error {
			i := 0
			for got, err := range mp.Stream(ctx, pool, double, slices.Values(inputs(n))) {
				if err := check(got, doubled(n+i), err); err != nil {
					return err
				}
				i++
			}

			if i != many {
				return fmt.Errorf("%d results of %d", i, many)
			}
			return nil
		}},
	}
}
