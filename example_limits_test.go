//go:build !race

// With the race detector, a worker needs far more memory than this limit.

package mp_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/go-multiprocessing/mp"
)

func ExamplePoolConfig_limits() {
	p, err := mp.NewPool(mp.PoolConfig{
		Limits: mp.Limits{Memory: 512 << 20, OpenFiles: 100, NoCoreDumps: true},
		Output: mp.Output{Stderr: discarded{}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	_, err = mp.Call(context.Background(), p, hoard, 2<<30)
	var w *mp.WorkerError
	if errors.As(err, &w) {
		fmt.Println(w.Reason)
	}
	// Output: out of memory
}

var hoard = mp.Register("hoard", func(_ context.Context, n int) (int, error) {
	b := make([]byte, n)
	for i := 0; i < n; i += 4096 {
		b[i] = 1
	}
	return len(b), nil
})
