//go:build linux

package spawn

import "time"

// NextPause is nextPause.
var NextPause = nextPause

// SetRetryGuard changes retryGuard until the returned function is called. No guard may be there.
func SetRetryGuard(d time.Duration) (undo func()) {
	before := retryGuard
	retryGuard = d
	return func() { retryGuard = before }
}
