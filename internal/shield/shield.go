// Package shield calls code of the user's where it must not end who calls it.
package shield

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// ErrGoexit is the error of what called runtime.Goexit, as FailNow of a test does.
var ErrGoexit = errors.New("runtime.Goexit was called")

// Panic is the error of what panicked.
type Panic struct {
	Value any
	Stack []byte
}

func (p *Panic) Error() string { return fmt.Sprint("panic: ", p.Value) }

// Call calls f on a goroutine of its own, and waits for it.
func Call(f func() error) (err error) {
	returned := false
	over := make(chan struct{})
	go func() {
		defer close(over)
		defer func() {
			switch r := recover(); {
			case r != nil:
				err = &Panic{r, debug.Stack()}
			case !returned:
				err = ErrGoexit
			}
		}()
		err = f()
		returned = true
	}()
	<-over
	return err
}
