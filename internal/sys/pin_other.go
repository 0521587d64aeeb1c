//go:build !linux

package sys

import "errors"

// CanPin returns an error, because threads cannot be pinned on this system.
func CanPin([]int) error { return errors.ErrUnsupported }
