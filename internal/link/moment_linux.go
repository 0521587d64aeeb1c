package link

import (
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// A Moment is a time that two processes of a machine mean alike, whatever is done to the machine's
// clock: nanoseconds of CLOCK_MONOTONIC; 0 for none.
type Moment int64

// MomentOf is the Moment of a time; of one that is centuries away, one that is too.
func MomentOf(t time.Time) Moment {
	now, left := monotonic(), Moment(time.Until(t))
	return max(now+min(left, math.MaxInt64-now), 1)
}

// Time is the time of a Moment, as this process's clocks have it.
func (m Moment) Time() time.Time { return time.Now().Add(time.Duration(m - monotonic())) }

func monotonic() Moment {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // which cannot fail
	return Moment(t.Nano())
}
