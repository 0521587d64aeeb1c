//go:build !linux

package sys

import "errors"

// CanPin returns an error: threads are not pinned on this system.
func CanPin([]int) error { return errors.ErrUnsupported }
