package mp

import "fmt"

// An ElementError is the error of one element of a [Map].
type ElementError struct {
	Index int
	Err   error
}

func (e *ElementError) Error() string { return fmt.Sprintf("element %d: %v", e.Index, e.Err) }

// Unwrap returns the element's own error.
func (e *ElementError) Unwrap() error { return e.Err }

// ElementErrors are the errors of all elements of a [Map] that failed, in order.
type ElementErrors []*ElementError

// Error gives the number of errors and the first.
func (e ElementErrors) Error() string {
	if len(e) == 1 {
		return e[0].Error()
	}
	return fmt.Sprintf("%d elements failed, the first: %v", len(e), e[0])
}

// Unwrap returns all of them.
func (e ElementErrors) Unwrap() []error {
	errs := make([]error, len(e))
	for i := range e {
		errs[i] = e[i]
	}
	return errs
}
