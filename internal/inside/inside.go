// Package inside gives packages of this module access to parts of package ipc and package manager
// that other programs do not have. These packages set the functions.
package inside

import "time"

var (
	// BoundConn sets the maximum size of messages that the end of a pipe, an *ipc.Conn not yet in
	// use, sends and receives. The limit that the sender of the end claims no longer counts.
	BoundConn func(conn any, bytes int)

	// NextOfConn returns the size of the next message that an end of a pipe receives, as claimed by
	// its sender. It returns 0 if the message is inside the pipe, or if there is none.
	NextOfConn func(conn any) int

	// BoundNext sets the maximum size of messages that an end of a pipe receives from now on.
	// BoundConn's limit counts as well.
	BoundNext func(conn any, bytes int)

	// UnreadByConn returns the total size of certain messages that an end of a pipe has sent, and
	// when the oldest of them was sent. It counts messages outside of the pipe whose memory the
	// receiver has not released. It does not ask another process.
	UnreadByConn func(conn any) (bytes int, since time.Time)

	// ConnEnded reports whether one of the ends of a pipe is closed. It does not block.
	ConnEnded func(conn any) bool

	// EndUnread releases the memory of the messages that UnreadByConn counts. It is called when the
	// end is closed and the receiver no longer needs to get them.
	EndUnread func(conn any)

	// TakeRecord receives the next message of an end of a pipe as a corrupt process might, for
	// tests. It leaves the memory of a message outside of the pipe as it is. The function release
	// releases that memory.
	TakeRecord func(conn any) (release func(), err error)

	// MakerOfConn returns the root process's number for the process that created the pipe.
	MakerOfConn func(conn any) uint64

	// QueueEnded reports whether an *ipc.Queue accepts no more elements.
	QueueEnded func(queue any) bool
)
