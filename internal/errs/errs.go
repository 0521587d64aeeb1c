// Package errs defines the errors that several packages return, so that no package needs to import
// another just for its errors.
package errs

import "errors"

// ErrClosed is returned for a closed pool, object or connection.
var ErrClosed = errors.New("mp: closed")

// Errors of locks, barriers and semaphores.
var (
	ErrOwnerDied   = errors.New("mp: the process that held the lock has died and may have left what it guards half changed: repair that with Recover")
	ErrNotHeld     = errors.New("mp: not held by this process")
	ErrBroken      = errors.New("mp: the barrier is broken")
	ErrOverRelease = errors.New("mp: released more often than acquired")
)

// Errors of queues and pipes.
var (
	ErrFull    = errors.New("mp: full")
	ErrEmpty   = errors.New("mp: empty")
	ErrCorrupt = errors.New("mp: the shared memory holds what no process of mp has written")
)
