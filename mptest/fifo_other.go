//go:build !unix

package mptest

import "errors"

func makeFIFO(string) error { return errors.ErrUnsupported }
