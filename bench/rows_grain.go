package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/bench/internal/tasks"
)

// These rows measure what share of both processors' time goes into the work of tasks, depending on
// the length of the tasks.

// grainRow measures n tasks of one length.
func grainRow(name string, length time.Duration, n int, goal float64) row {
	count := func(b *bench) int { return b.size(n, max(n/50, 100)) }
	return row{
		name: "grain-" + name, unit: "share in work", better: higher,
		mp: onPool(func(ctx context.Context, b *bench, pool *mp.Pool) (float64, error) {
			return grainOnce(b, length, count(b), sumsOn(ctx, pool))
		}),
		peers: []peer{{"2 goroutines, channels of 128", goal, onGoroutines(func(b *bench) (float64, error) {
			return grainOnce(b, length, count(b), unfailing(overChannels(tasks.SumSquares)))
		})}},
	}
}

func grain10Row() row   { return grainRow("10us", 10*time.Microsecond, 60_000, 0.85) }
func grain100Row() row  { return grainRow("100us", 100*time.Microsecond, 10_000, 0.93) }
func grain1000Row() row { return grainRow("1ms", time.Millisecond, 1500, 0.95) }

func sumsOn(ctx context.Context, pool *mp.Pool) func(in []int) ([]int, error) {
	return func(in []int) ([]int, error) { return mp.Map(ctx, pool, tasks.Sum, in) }
}

func grainOnce(b *bench, length time.Duration, n int, sums func([]int) ([]int, error)) (float64, error) {
	in := make([]int, n)
	for i := range in {
		in[i] = b.calibrate().iterationsOf(length)
	}
	if _, err := sums(in[:n/10]); err != nil {
		return 0, err
	}
	return shareInWork(b, in, sums)
}

// shareInWork runs tasks with the given numbers of iterations. It returns the time that the work
// alone would take, as a share of both processors' time.
func shareInWork(b *bench, in []int, sums func([]int) ([]int, error)) (float64, error) {
	begin := time.Now()
	out, err := sums(in)
	took := time.Since(begin)
	if err != nil {
		return 0, err
	}
	iterations := 0
	for i, n := range in {
		if iterations += n; out[i] != sumOf(n) {
			return 0, fmt.Errorf("%d of %d iterations is %d, not %d", i, n, out[i], sumOf(n))
		}
	}
	work := b.calibrate()
	return float64(iterations) / float64(work.iterations) * float64(work.took) / float64(took) / tasks.Workers, nil
}

// sumOf returns the result of SumSquares without its work: (n-1) n (2n-1) / 6, in as many bits as
// an int has.
func sumOf(n int) int {
	x := big.NewInt(int64(n))
	y := new(big.Int).Mul(x, new(big.Int).Sub(x, big.NewInt(1)))
	y.Mul(y, new(big.Int).Sub(new(big.Int).Lsh(x, 1), big.NewInt(1)))
	y.Div(y, big.NewInt(6))
	return int(y.And(y, new(big.Int).SetUint64(math.MaxUint64)).Uint64())
}

// grainMixedRow compares tasks of any length with the best result of a program that knows the
// lengths.
func grainMixedRow() row {
	return row{
		name: "grain-mixed", unit: "share in work", better: higher,
		mp: onPool(func(ctx context.Context, b *bench, pool *mp.Pool) (float64, error) {
			return mixedOnce(b, sumsOn(ctx, pool))
		}),
		peers: []peer{{"2 goroutines, longest first", 0.9, onGoroutines(func(b *bench) (float64, error) {
			return mixedOnce(b, unfailing(longestFirst))
		})}},
	}
}

const (
	shortest = time.Microsecond
	longest  = 100 * time.Millisecond
)

// mixedOnce returns the median share of some mixtures. The mixtures are the same each time.
func mixedOnce(b *bench, sums func([]int) ([]int, error)) (float64, error) {
	shares := make([]float64, b.size(5, 1))
	for seed := range shares {
		var err error
		if shares[seed], err = shareInWork(b, mixture(b.calibrate(), uint64(seed), b.size(500, 20)), sums); err != nil {
			return 0, err
		}
	}
	return median(shares), nil
}

// mixture returns the iterations of n tasks whose lengths are spread evenly over the orders of
// magnitude.
func mixture(work workload, seed uint64, n int) []int {
	random := rand.New(rand.NewPCG(seed, 0))
	in := make([]int, n)
	for i := range in {
		length := float64(shortest) * math.Pow(float64(longest)/float64(shortest), random.Float64())
		in[i] = work.iterationsOf(time.Duration(length))
	}
	return in
}

// longestFirst makes goroutines take the longest tasks first.
func longestFirst(in []int) []int {
	order := make([]int, len(in))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(in[j], in[i]) })
	sorted := make([]int, len(in))
	for at, i := range order {
		sorted[at] = in[i]
	}
	sums := sumsOnGoroutines(sorted)
	out := make([]int, len(in))
	for at, i := range order {
		out[i] = sums[at]
	}
	return out
}
