package manager

import (
	"errors"
	"fmt"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/shield"
)

// shielded calls code of the user's. A panic is an error, and so is runtime.Goexit.
func shielded(f func() error) error {
	err := shield.Call(f)
	if p := (*shield.Panic)(nil); errors.As(err, &p) {
		e := &mp.PanicError{Value: fmt.Sprint(p.Value), Stack: string(p.Stack)}
		if err, ok := p.Value.(error); ok {
			e.Value = err
		}
		return e
	}
	if errors.Is(err, shield.ErrGoexit) {
		return mp.ErrGoexit
	}
	return err
}
