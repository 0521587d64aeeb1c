//go:build !linux

package sys

import "io"

// A Closer does nothing on this system, on which processes send each other no descriptors.
type Closer struct{}

// Close does nothing.
func (*Closer) Close(...int) {}

// CloseFile closes a file.
func (*Closer) CloseFile(f io.Closer) { _ = f.Close() }
