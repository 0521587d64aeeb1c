// Package shared contains the functions that a parent and a worker binary share.
package shared

import (
	"context"

	"github.com/go-multiprocessing/mp"
)

// Double exists in every binary, with the same shape.
var Double = mp.Register("double", func(_ context.Context, n int) (int, error) { return 2 * n, nil })
