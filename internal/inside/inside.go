// Package inside gives packages of this module access to parts of package ipc and package manager
// that other programs do not have. Those two packages set the functions.
package inside

import "time"

var (
	// BoundConn sets the maximum size of messages that the end of a pipe, an *ipc.Conn not yet in
	// use, sends and receives. The limit that the sender of the end claims no longer counts.
	BoundConn func(conn any, bytes int)

	// NextOfConn returns the size of the next message that an end of a pipe receives, as claimed by
	// the sender. It returns 0 if the message is inside the pipe, or if there is none.
	NextOfConn func(conn any) int

	// BoundNext sets the maximum size of messages that an end of a pipe receives from now on.
	// BoundConn's limit still applies as well.
	BoundNext func(conn any, bytes int)

	// UnreadByConn returns the total size of the messages that an end of a pipe has sent outside of
	// the pipe and whose memory the receiver has not released. It also returns when the oldest of
	// them was sent. It does not ask another process.
	UnreadByConn func(conn any) (bytes int, since time.Time)

	// ConnEnded reports whether one of the ends of a pipe is closed. It does not block.
	ConnEnded func(conn any) bool

	// EndUnread releases the memory of the messages that UnreadByConn counts. It is called when the
	// end is closed and the receiver no longer needs the messages.
	EndUnread func(conn any)

	// TakeRecord receives the next message of an end of a pipe as a corrupt process might, for
	// tests. If the message is outside of the pipe, its memory stays allocated until release is
	// called.
	TakeRecord func(conn any) (release func(), err error)

	// MakerOfConn returns the root process's number for the process that created the pipe.
	MakerOfConn func(conn any) uint64

	// QueueEnded reports whether an *ipc.Queue accepts no more elements.
	QueueEnded func(queue any) bool
)
