// Package cause tells why a context has ended, and why an error came.
package cause

import (
	"context"
	"errors"
)

// Of is the error of a context that has ended, nil of one that has not: its cause, which also
// is the context's own error for errors.Is. [context.Cause] alone is not, so that who asks for
// context.Canceled would not find it.
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

// With is err, for which errors.Is and errors.As find why as well.
func With(err, why error) error { return &caused{err, why} }

// caused is an error together with one that its text does not tell.
type caused struct{ err, why error }

func (e *caused) Error() string { return e.err.Error() }

func (e *caused) Unwrap() []error { return []error{e.err, e.why} }
