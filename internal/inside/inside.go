// Package inside lets packages of this module ask objects of package mp what other programs cannot ask.
// Package mp sets the functions.
package inside

var (
	// BoundConn has the end of a pipe, an *mp.Conn that nobody uses yet, send and receive messages of so many
	// bytes, whatever the process says that has sent the end.
	BoundConn func(conn any, bytes int)

	// MakerOfConn is a number of the process that has made the pipe, for which the root process vouches.
	MakerOfConn func(conn any) uint64

	// QueueEnded reports whether nobody can put anything into an *mp.Queue any more.
	QueueEnded func(queue any) bool
)
