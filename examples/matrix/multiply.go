package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

// multiply computes the product of a and b, which have n rows and columns, and writes the rows from
// lo up to but not including hi into c. It always adds in the same order, so the product is the
// same to the last bit.
func multiply(c, a, b []float64, n, lo, hi int) {
	for i := lo; i < hi; i++ {
		row := c[i*n : (i+1)*n]
		clear(row)
		for k := range n {
			x, other := a[i*n+k], b[k*n:(k+1)*n]
			for j := range row {
				row[j] += x * other[j]
			}
		}
	}
}

// bandRows is the number of rows in one piece of work.
const bandRows = 8

// matrices holds two factors and their product, row by row, in shared memory.
type matrices struct {
	N       int
	A, B, C *ipc.Array[float64]
}

// newMatrices makes two factors of size n, which are the same each time.
func newMatrices(n int) (m matrices, err error) {
	m.N = n
	for _, array := range []**ipc.Array[float64]{&m.A, &m.B, &m.C} {
		if *array, err = ipc.NewArray[float64](n * n); err != nil {
			return matrices{}, errors.Join(err, m.close())
		}
	}
	random := rand.New(rand.NewPCG(1, uint64(n)))
	for _, factor := range [][]float64{m.A.Slice(), m.B.Slice()} {
		for i := range factor {
			factor[i] = random.Float64() - 0.5
		}
	}
	return m, nil
}

// close frees the memory, in the workers too.
func (m matrices) close() error {
	var errs []error
	for _, array := range []*ipc.Array[float64]{m.A, m.B, m.C} {
		if array != nil {
			errs = append(errs, array.Close())
		}
	}
	return errors.Join(errs...)
}

// inSequence returns the product, in memory that belongs to this process alone.
func (m matrices) inSequence(ctx context.Context) ([]float64, error) {
	c := make([]float64, m.N*m.N)
	for lo := 0; lo < m.N; lo += bandRows {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		multiply(c, m.A.Slice(), m.B.Slice(), m.N, lo, min(lo+bandRows, m.N))
	}
	return c, nil
}

// inGoroutines is like inSequence, but uses the given number of goroutines.
func (m matrices) inGoroutines(ctx context.Context, goroutines int) ([]float64, error) {
	c := make([]float64, m.N*m.N)
	a, b := m.A.Slice(), m.B.Slice()
	var (
		begun atomic.Int64
		group sync.WaitGroup
	)

	for range goroutines {
		group.Go(func() {
			for ctx.Err() == nil {
				lo := int(begun.Add(1)-1) * bandRows
				if lo >= m.N {
					return
				}
				multiply(c, a, b, m.N, lo, min(lo+bandRows, m.N))
			}
		})
	}

	group.Wait()
	return c, context.Cause(ctx)
}

// band is the argument of a task: the handles of the matrices, and some rows.
type band struct {
	M      matrices
	Lo, Hi int
}

// multiplyBand multiplies a band and returns the ID of the process that did so.
var multiplyBand = mp.Register("multiplyBand", func(_ context.Context, b band) (pid int, err error) {
	multiply(b.M.C.Slice(), b.M.A.Slice(), b.M.B.Slice(), b.M.N, b.Lo, b.Hi)
	return os.Getpid(), nil
})

// inWorkers makes the workers write the product into C, and returns which process wrote each band.
// Map returns when all tasks have returned, so C can be read without further synchronization.
func (m matrices) inWorkers(ctx context.Context, ex mp.Executor) (pids []int, err error) {
	var bands []band
	for lo := 0; lo < m.N; lo += bandRows {
		bands = append(bands, band{m, lo, min(lo+bandRows, m.N)})
	}
	return mp.Map(ctx, ex, multiplyBand, bands)
}
