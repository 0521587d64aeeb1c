package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/go-multiprocessing/mp"
)

// A measurement is the result for one pair of matrices.
type measurement struct {
	n                               int
	sequential, goroutines, workers time.Duration
	pids                            []int // of the workers, by band
	equal                           bool  // whether all products are equal
}

// measure multiplies a pair of matrices in all three ways, with as many goroutines as the pool has
// workers.
func measure(ctx context.Context, pool *mp.Pool, workers, n int) (m measurement, err error) {
	matrices, err := newMatrices(n)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, matrices.close()) }()

	m.n = n
	begin := time.Now()
	one, err := matrices.inSequence(ctx)
	if err != nil {
		return m, err
	}
	m.sequential = time.Since(begin)

	begin = time.Now()
	two, err := matrices.inGoroutines(ctx, workers)
	if err != nil {
		return m, err
	}
	m.goroutines = time.Since(begin)

	begin = time.Now()
	if m.pids, err = matrices.inWorkers(ctx, pool); err != nil {
		return m, err
	}
	m.workers = time.Since(begin)
	m.equal = slices.Equal(one, two) && slices.Equal(one, matrices.C.Slice())
	return m, nil
}

// writeReport writes the measurements as a table.
func writeReport(w io.Writer, all []measurement, workers int) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "size\tshared\tone process\tgoroutines (%d)\tworker processes (%d)\tequal\n", workers, workers)
	for _, m := range all {
		equal := "no"
		if m.equal {
			equal = "yes"
		}
		mib := float64(3*8*m.n*m.n) / (1 << 20)
		fmt.Fprintf(table, "%d × %d\t%.1f MiB\t%.3f s\t%.3f s\t%.3f s\t%s\n",
			m.n, m.n, mib, m.sequential.Seconds(), m.goroutines.Seconds(), m.workers.Seconds(), equal)
	}
	return table.Flush()
}
