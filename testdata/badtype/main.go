// Badtype registers a function whose argument type cannot be encoded.
package main

import (
	"context"

	"github.com/go-multiprocessing/mp"
)

type inner struct{ Callback func() }

type arg struct{ Inner []inner }

var _ = mp.Register("bad", func(context.Context, arg) (int, error) { return 0, nil })

func main() { mp.Init() }
