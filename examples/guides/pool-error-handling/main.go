// Guide "Multiprocessing" (sidebar position 14), Process Pools, Error Handling.
//
// Differences in mp: the guide turns errors into strings among the results, so that its callers
// must distinguish the strings from the numbers, and any other bug in the function looks like a bad
// argument. In mp a task returns an error, and errors.Is works in the parent. AllErrors lets the
// other elements finish and keeps their results; without AllErrors, the first error cancels the
// rest. (Python's map finishes the other chunks and then raises the exception, so all results are
// lost.) A Go program must check for zero itself, since dividing a float by zero gives +Inf.
//
// The guide's program lacks its import. Even with the import, it has no __main__ guard, so it never
// ends where Python starts its workers by spawn or forkserver: each worker dies at once, and the
// pool starts another.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/go-multiprocessing/mp"
)

var errDivisionByZero = errors.New("division by zero")

// Both processes must register the error, so that the error keeps its identity.
func init() { mp.RegisterError(errDivisionByZero) }

var divide = mp.Register("divide", func(_ context.Context, x float64) (float64, error) {
	if x == 0 {
		return 0, errDivisionByZero
	}
	return 100 / x, nil
})

func main() {
	mp.Init()

	pool, err := mp.NewPool(mp.PoolConfig{Workers: 2})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()

	divisors := []float64{10, 0, 5}
	quotients, err := mp.Map(context.Background(), pool, divide, divisors, mp.AllErrors())
	var failed mp.ElementErrors
	if err != nil && !errors.As(err, &failed) {
		log.Fatal(err)
	}

	for _, e := range failed {
		if !errors.Is(e, errDivisionByZero) {
			log.Fatal(e)
		}
		fmt.Printf("100 / %g: %v\n", divisors[e.Index], e.Err)
	}
	fmt.Println(quotients) // 0 where there was an error
}
