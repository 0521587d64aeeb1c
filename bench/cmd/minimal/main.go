// The minimal command is a small program that uses mp, as a user's might: it links nothing that
// would slow the start of its workers. It measures on request.
package main

import (
	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/bench/internal/asked"
)

func main() {
	mp.Init()
	asked.Serve(map[string]asked.Command{
		"start":  start,
		"maps":   maps,
		"hello":  hello,
		"one":    one,
		"crash":  crash,
		"memory": memory,
	})
}
