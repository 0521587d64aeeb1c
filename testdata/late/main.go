// Late registers what its argument says: after Init, or twice.
package main

import (
	"context"
	"os"

	"github.com/go-multiprocessing/mp"
)

func f(context.Context, int) (int, error) { return 0, nil }

func main() {
	if os.Args[1] == "late" {
		mp.Init()
	}
	mp.Register("f", f)
	mp.Register("f", f)
}
