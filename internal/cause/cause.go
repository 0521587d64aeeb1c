// Package cause tells why a context has ended.
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
	return &ended{cause, err}
}

// ended is a cause together with the context's own error.
type ended struct{ cause, err error }

func (e *ended) Error() string { return e.cause.Error() }

func (e *ended) Unwrap() []error { return []error{e.cause, e.err} }
