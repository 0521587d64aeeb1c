package link

import (
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// A Moment is a point in time that means the same in all processes on a machine, even if the
// machine's clock is changed. It counts nanoseconds of CLOCK_MONOTONIC. Zero means none.
type Moment int64

// MomentOf returns the Moment of t. The result is inexact if t is centuries away.
func MomentOf(t time.Time) Moment {
	now, left := monotonic(), Moment(time.Until(t))
	return max(now+min(left, math.MaxInt64-now), 1)
}

// Time returns the Moment as a time on this process's clock.
func (m Moment) Time() time.Time { return time.Now().Add(time.Duration(m - monotonic())) }

func monotonic() Moment {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // cannot fail
	return Moment(t.Nano())
}
