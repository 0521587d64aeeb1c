// Guide "Multiprocessing in Python", Process Pools, the first program.
//
// Differences in mp: by default there is one worker for each processor that this process may use;
// the guide calls os.cpu_count. Init comes before flag.Parse, since a worker must not reach
// flag.Parse. The guide's N is unchanged: a task takes about 50 ms in Go. Its sums need more than
// 64 bits, which Python's integers hide. Goroutines could do this work too, since Go has no global
// lock; processes isolate crashes and heaps.
//
// The guide wrongly says that leaving the with block closes and joins the pool: it terminates the
// workers. Here Close also terminates the workers, which is harmless because Map has already waited
// for all results.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"math/big"
	"math/bits"
	"os"
	"time"

	"github.com/go-multiprocessing/mp"
)

var sumOfSquares = mp.Register("sumOfSquares", func(_ context.Context, n uint64) (*big.Int, error) {
	fmt.Printf("Processing %d in process %d...\n", n, os.Getpid())
	var hi, lo, carry uint64
	for i := range n {
		lo, carry = bits.Add64(lo, i*i, 0)
		hi += carry
	}
	sum := new(big.Int).SetUint64(hi)
	return sum.Lsh(sum, 64).Or(sum, new(big.Int).SetUint64(lo)), nil
})

func main() {
	mp.Init()
	n := flag.Uint64("n", 50_000_000, "numbers that a task squares and adds up")
	flag.Parse()

	fmt.Println("--- Pool example ---")
	start := time.Now()
	pool, err := mp.NewPool(mp.PoolConfig{})
	if err != nil {
		log.Fatal(err)
	}
	sums, err := mp.Map(context.Background(), pool, sumOfSquares, []uint64{*n, *n + 1, *n + 2, *n + 3, *n - 1})
	if err != nil {
		log.Fatal(err)
	}
	if err := pool.Close(); err != nil {
		log.Fatal(err)
	}

	fmt.Printf("Results (not all shown): %v...\n", sums[:3])
	fmt.Printf("Total time with Pool: %.2f seconds\n", time.Since(start).Seconds())
}
