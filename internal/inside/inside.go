// Package inside lets packages of this module ask objects of package mp what other programs cannot ask.
// Package mp sets the functions.
package inside

var (
	// BoundConn sets the maximum size of messages that the end of a pipe, an *mp.Conn not yet in use, sends and
	// receives. The limit claimed by the sender of the end no longer counts.
	BoundConn func(conn any, bytes int)

	// MakerOfConn returns a number of the process that made the pipe, as the root process knows it.
	MakerOfConn func(conn any) uint64

	// QueueEnded reports whether an *mp.Queue accepts no more elements.
	QueueEnded func(queue any) bool
)
