package ipc

import (
	"errors"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/errtree"
	"github.com/go-multiprocessing/mp/internal/objects"
)

// ErrClosed is returned by operations on a closed object. It is [mp.ErrClosed]. An object that
// another process has overwritten can return it too (see [ErrCorrupt]).
var ErrClosed = errs.ErrClosed

// ErrTooLong is the cause of the [*mp.CodecError] for an element of a [Queue] that is longer than
// [MaxElement], or for a message that is longer than [MaxMessage]. It is [mp.ErrTooLong]. Package
// connection has an ErrTooLong of its own.
var ErrTooLong = objects.ErrTooLong

// ErrFull is returned by [Queue.TryPut], [Conn.TrySend] and [Conn.TrySendBytes] if there is no
// room. Nothing was put or sent.
var ErrFull = errs.ErrFull

// ErrEmpty is returned by [Queue.TryGet], [Conn.TryRecv], [Conn.TryRecvBytes] and
// [Conn.TryRecvInto] if there is nothing to receive.
var ErrEmpty = errs.ErrEmpty

// ErrCorrupt is returned by some methods of an object when they detect that another process has
// overwritten the object. That can be a process that has the object, or a process that has another
// object in the same segment. A call that returns ErrCorrupt had no reliable effect, and other
// methods of the object may fail too.
//
// Detection is best effort. A damaged object can also return wrong values, seem closed
// ([ErrClosed]) or seem to have a dead owner ([ErrOwnerDied]). A damaged [Queue] can look closed
// and empty, so that [Queue.All] ends without an error. [Isolated] keeps an object out of reach of
// processes that do not have it.
var ErrCorrupt = errs.ErrCorrupt

// ErrOwnerDied is returned for a lock whose holder has died and may have left what the lock guards
// half changed. The lock is not held. Every caller gets the error until one of them has used
// Recover to repair what the lock guards.
var ErrOwnerDied = errs.ErrOwnerDied

// ErrNotHeld is returned when a process releases a lock that it does not hold, or uses a [Cond]
// without holding its Mutex. Nothing is changed. [Cond.Wait] also returns it if it cannot lock the
// Mutex again.
var ErrNotHeld = errs.ErrNotHeld

// ErrBroken is returned by a [Barrier] that a party has left, or that was reset.
var ErrBroken = errs.ErrBroken

// ErrOverRelease is returned by a [BoundedSemaphore] that would be released more often than it was
// acquired, by a [Semaphore] that would have more than 2,147,483,647 permits, and by
// [Queue.TaskDone] if there would be more calls than received elements. Nothing is changed.
var ErrOverRelease = errs.ErrOverRelease

// ErrMoved is returned by the methods of a [Conn] or [Slab] that was sent. If a process sends the
// Conn or Slab once more, ErrMoved is the cause of the [*mp.CodecError].
var ErrMoved = errors.New("mp: it was sent on, and now belongs to its receiver")

// ErrDirection is returned by the end of a one-way pipe that cannot send, or cannot receive.
var ErrDirection = errors.New("mp: the wrong end of a one-way pipe")

func init() {
	for name, err := range map[string]error{
		"ipc.ErrOwnerDied": ErrOwnerDied, "ipc.ErrNotHeld": ErrNotHeld, "ipc.ErrBroken": ErrBroken, "ipc.ErrOverRelease": ErrOverRelease,
		"ipc.ErrCorrupt": ErrCorrupt, "ipc.ErrFull": ErrFull, "ipc.ErrEmpty": ErrEmpty, "ipc.ErrMoved": ErrMoved, "ipc.ErrDirection": ErrDirection,
	} {
		if bad := errtree.RegisterSentinel(name, err); bad != nil {
			panic(bad)
		}
	}
}

// codecError returns a [*mp.CodecError] with the cause why, which errors.Is finds in this process.
func codecError(what, doing string, why error) error {
	return cause.With(&mp.CodecError{What: what, Doing: doing, Text: why.Error(), Stack: codec.StackOf(why)}, why)
}
