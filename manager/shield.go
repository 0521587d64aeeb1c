package manager

import (
	"fmt"
	"runtime/debug"

	"github.com/go-multiprocessing/mp"
)

// shielded calls code of the user's. A panic is an error, and so is runtime.Goexit.
func shielded(f func() error) (err error) {
	returned := false
	over := make(chan struct{})
	go func() {
		defer close(over)
		defer func() {
			switch r := recover(); {
			case r != nil:
				err = panicError(r)
			case !returned:
				err = mp.ErrGoexit
			}
		}()
		err = f()
		returned = true
	}()
	<-over
	return err
}

func panicError(r any) error {
	e := &mp.PanicError{Value: fmt.Sprint(r), Stack: string(debug.Stack())}
	if err, ok := r.(error); ok {
		e.Value = err
	}
	return e
}
