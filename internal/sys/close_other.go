//go:build !linux

package sys

import "io"

// A Closer does nothing special on this system, where processes do not send descriptors to each
// other.
type Closer struct{}

// Close does nothing.
func (*Closer) Close(...int) {}

// CloseFile closes a file.
func (*Closer) CloseFile(f io.Closer) { _ = f.Close() }
