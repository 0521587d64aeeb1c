//go:build !linux

package park

import (
	"sync/atomic"
	"time"
)

// Nothing is shared between processes on these systems yet, so nobody sleeps.

func futexWait(*atomic.Uint32, uint32, time.Duration) {}

func futexWake(*atomic.Uint32) {}
