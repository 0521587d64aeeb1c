//go:build !noextra

package shared

import (
	"context"

	"github.com/go-multiprocessing/mp"
)

// Extra does not exist in a binary built with the tag noextra.
var Extra = mp.Register("extra", func(_ context.Context, n int) (int, error) { return n, nil })
