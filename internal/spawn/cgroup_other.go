//go:build !linux

package spawn

import "errors"

// OpenCgroup returns an error, because control groups exist only on Linux.
func OpenCgroup(string) (*Cgroup, error) { return nil, errors.ErrUnsupported }
