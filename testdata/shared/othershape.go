//go:build othershape

package shared

import (
	"context"

	"github.com/go-multiprocessing/mp"
)

// Shape has a different shape in a binary built without the tag othershape.
type Shape struct {
	A int
	B string
}

// Shaped takes a Shape.
var Shaped = mp.Register("shaped", func(_ context.Context, s Shape) (int, error) { return s.A, nil })
