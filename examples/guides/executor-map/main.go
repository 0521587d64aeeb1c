// Guide "Multiprocessing_", ProcessPoolExecutor Methods, map().
//
// The guide wrongly says that executor.map blocks until all tasks have finished: executor.map
// returns an iterator at once, and it is list that waits. The counterpart of executor.map is
// Stream, which reads its input only as far ahead as the workers need. (executor.map reads the
// whole input first, unless it gets Python 3.14's buffersize.) To get a slice of results, mp.Map is
// shorter: see pool-square.
package main

import (
	"context"
	"fmt"
	"log"
	"slices"

	"github.com/go-multiprocessing/mp"
)

var square = mp.Register("square", func(_ context.Context, n int) (int, error) {
	return n * n, nil
})

func main() {
	mp.Init()

	executor, err := mp.NewPool(mp.PoolConfig{})
	if err != nil {
		log.Fatal(err)
	}
	defer executor.Close()

	numbers := slices.Values([]int{1, 2, 3, 4})
	for result, err := range mp.Stream(context.Background(), executor, square, numbers) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(result)
	}
}
