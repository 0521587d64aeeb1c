// Parent runs shared functions on the worker binary that its argument names and prints the
// outcomes.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/testdata/shared"
)

var own = mp.Register("own", func(_ context.Context, n int) (int, error) { return n, nil })

func main() {
	mp.Init()
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 2, Executable: os.Args[1]})
	if err != nil {
		fmt.Println("pool:", err)
		return
	}
	defer pool.Close()
	ctx := context.Background()
	for name, f := range map[string]*mp.Func[int, int]{"double": shared.Double, "extra": shared.Extra, "own": own} {
		v, err := mp.Call(ctx, pool, f, 21)
		fmt.Printf("%s: %d %v\n", name, v, err)
	}
}
