package manager

import (
	"errors"
	"fmt"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/protect"
)

// shielded calls a function of the program. It turns a panic or a call of runtime.Goexit into an
// error.
func shielded(f func() error) error {
	err := protect.Call(f)
	if p := (*protect.Panic)(nil); errors.As(err, &p) {
		e := &mp.PanicError{Value: fmt.Sprint(p.Value), Stack: string(p.Stack)}
		if err, ok := p.Value.(error); ok {
			e.Value = err
		}
		return e
	}
	if errors.Is(err, protect.ErrGoexit) {
		return mp.ErrGoexit
	}
	return err
}
