// Package cause reports why a context has ended, and why an error occurred.
package cause

import (
	"context"
	"errors"
)

// Of returns the error of a context that has ended, and nil for a context that has not. The error
// is the context's cause, and errors.Is also finds the context's own error in it. With
// [context.Cause] alone, code that tests for context.Canceled would not find it.
func Of(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	switch {
	case cause == nil:
		return err
	case err == nil || errors.Is(cause, err):
		return cause
	}
	return With(cause, err)
}

// With returns err, extended so that errors.Is and errors.As also find the error why.
func With(err, why error) error { return &caused{err, why} }

// caused is an error together with another error that its text does not mention.
type caused struct{ err, why error }

func (e *caused) Error() string { return e.err.Error() }

func (e *caused) Unwrap() []error { return []error{e.err, e.why} }
