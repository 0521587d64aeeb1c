//go:build !linux

package spawn

import "errors"

// OpenCgroup returns an error: control groups are Linux's.
func OpenCgroup(string) (*Cgroup, error) { return nil, errors.ErrUnsupported }
