// Package protect calls user code in a way that protects the caller from panics and runtime.Goexit.
package protect

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// ErrGoexit is the error for a function that called runtime.Goexit, as a test's FailNow does.
var ErrGoexit = errors.New("runtime.Goexit was called")

// Panic is the error for a function that panicked.
type Panic struct {
	Value any
	Stack []byte
}

func (p *Panic) Error() string { return fmt.Sprint("panic: ", p.Value) }

// Call calls f on a new goroutine and waits for it. If f panics, the error is a *Panic. If f calls
// runtime.Goexit, the error is ErrGoexit.
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
