//go:build !linux

package park

import (
	"sync/atomic"
	"time"
)

// Processes share nothing on these systems yet, so no goroutine sleeps.

func futexWait(*atomic.Uint32, uint32, time.Duration) {}

func futexWake(*atomic.Uint32) {}
