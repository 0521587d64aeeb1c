// Package inside lets packages of this module ask objects of package ipc what other programs cannot ask.
// Package ipc sets the functions.
package inside

import "time"

var (
	// BoundConn sets the maximum size of messages that the end of a pipe, an *ipc.Conn not yet in use, sends and
	// receives. The limit claimed by the sender of the end no longer counts.
	BoundConn func(conn any, bytes int)

	// NextOfConn returns how many bytes the next message has that an end of a pipe receives, as its sender claims, if
	// it lies outside of the pipe; 0 if not, or if there is none.
	NextOfConn func(conn any) int

	// BoundNext sets how many bytes a message may have that an end of a pipe receives from now on. BoundConn's limit
	// counts as well.
	BoundNext func(conn any, bytes int)

	// UnreadByConn returns how many bytes the messages have together that an end of a pipe has sent, that lie outside of
	// the pipe, and whose memory the receiver has not released; and when the oldest of them was sent. It asks no other
	// process.
	UnreadByConn func(conn any) (bytes int, since time.Time)

	// ConnEnded reports whether one of the ends of a pipe is closed. It does not wait.
	ConnEnded func(conn any) bool

	// EndUnread gives the memory of those messages back. It is called when the end is closed, and the receiver need not
	// get them any more.
	EndUnread func(conn any)

	// TakeRecord receives the next message of an end of a pipe as a corrupt process might, for tests: it leaves the memory
	// of one that lies outside of the pipe as it is. Release releases that.
	TakeRecord func(conn any) (release func(), err error)

	// MakerOfConn returns a number of the process that made the pipe, as the root process knows it.
	MakerOfConn func(conn any) uint64

	// QueueEnded reports whether an *ipc.Queue accepts no more elements.
	QueueEnded func(queue any) bool
)
