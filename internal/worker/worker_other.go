//go:build !linux

package worker

import "github.com/go-multiprocessing/mp/internal/link"

// Serve is never reached where no worker can be started.
func Serve([]Function, string, func(link.Config, func([]byte) error)) int { return 1 }
