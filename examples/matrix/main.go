// Matrix multiplies square matrices of random numbers in three ways: in this process, with
// goroutines, and with a pool of worker processes. It checks that all three ways give the same
// product, and prints how long each way took.
//
//	go run ./examples/matrix [SIZE...]
//
// The matrices are in memory that this process and the workers share. A task is a few numbers that
// identify some rows, and the workers write these rows in place, so no element is ever sent or
// copied. For a mere multiplication, goroutines are enough; workers are for tasks that may crash,
// hang or eat memory.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/go-multiprocessing/mp"
)

func main() {
	mp.Init() // a worker process multiplies its rows in Init, which never returns there

	flag.Usage = func() { fmt.Fprintln(flag.CommandLine.Output(), "usage: matrix [SIZE...]") }
	flag.Parse()
	sizes, err := parseSizes(flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "matrix:", err)
		flag.Usage()
		os.Exit(2)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = run(ctx, os.Stdout, sizes)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "matrix:", err)
		os.Exit(1)
	}
}

// parseSizes returns the number of rows for each pair of matrices.
func parseSizes(args []string) ([]int, error) {
	if len(args) == 0 {
		return []int{256, 512, 1024}, nil
	}
	var sizes []int
	for _, arg := range args {
		n, err := strconv.Atoi(arg)
		if err != nil || n < 1 || n > maxSize {
			return nil, fmt.Errorf("%q is no size: give numbers from 1 to %d", arg, maxSize)
		}
		sizes = append(sizes, n)
	}
	return sizes, nil
}

// maxSize is the size at which three matrices take 6 GiB.
const maxSize = 1 << 14

// run multiplies matrices of the given sizes and writes the report to w. It returns an error if the
// ways disagree about a product.
func run(ctx context.Context, w io.Writer, sizes []int) error {
	workers := mp.NumCPU()
	pool, err := mp.NewPool(mp.PoolConfig{Workers: workers})
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := pool.Ready(ctx); err != nil { // so that no measurement includes starting the workers
		return err
	}

	var all []measurement
	for _, n := range sizes {
		m, err := measure(ctx, pool, workers, n)
		if err != nil {
			return err
		}
		all = append(all, m)
	}

	if err := writeReport(w, all, workers); err != nil {
		return err
	}
	for _, m := range all {
		if !m.equal {
			return fmt.Errorf("the products of size %d are not equal", m.n)
		}
	}

	return nil
}
