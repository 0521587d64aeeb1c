// Package inside lets packages of this module ask objects of package mp what other programs cannot ask.
// Package mp sets the functions.
package inside

var (
	// BoundConn sets the maximum size of messages that the end of a pipe, an *mp.Conn not yet in use, sends and
	// receives. The limit claimed by the sender of the end no longer counts.
	BoundConn func(conn any, bytes int)

	// NextOfConn returns how many bytes the next message has that an end of a pipe receives, as its sender claims, if
	// it lies outside of the pipe; 0 if not, or if there is none.
	NextOfConn func(conn any) int

	// BoundNext sets how many bytes a message may have that an end of a pipe receives from now on. BoundConn's limit
	// counts as well.
	BoundNext func(conn any, bytes int)

	// UnreadByConn reports whether a message that an end of a pipe has sent lies outside of the pipe, and has not been
	// received.
	UnreadByConn func(conn any) bool

	// MakerOfConn returns a number of the process that made the pipe, as the root process knows it.
	MakerOfConn func(conn any) uint64

	// QueueEnded reports whether an *mp.Queue accepts no more elements.
	QueueEnded func(queue any) bool
)
