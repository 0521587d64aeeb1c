// Package typenames names the types of values that travel in interfaces. It constructs none of
// them.
package typenames

import (
	"context"
	"fmt"

	"github.com/go-multiprocessing/mp"
	_ "github.com/go-multiprocessing/mp/ipc" // its types travel
)

// Of returns the type of what an interface holds, after closing it here.
var Of = mp.Register("typeOf", func(_ context.Context, v any) (string, error) {
	name := fmt.Sprintf("%T", v)
	if c, ok := v.(interface{ Close() error }); ok {
		return name, c.Close()
	}
	return name, nil
})
