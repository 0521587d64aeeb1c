package mp

import (
	"io"
	"log/slog"
)

// Output says where workers' output goes. It arrives whole lines at a time; lines
// of different workers, up to 64 KiB long, do not mix, but lines that one worker
// prints together may be parted by another's. Output may arrive after the result of
// the task that printed it. Close and Shutdown return when all output has arrived,
// unless a writer or handler blocks; then its goroutine is abandoned. Each writer, and
// the handler, is called by one goroutine at a time.
//
// Log records wait for a slow handler: up to 8192 records and 8 MiB of the first worker, and
// fewer of each further one. Further records are lost, and counted in a record of their
// own. A record of more than 1 MiB is cut, and so is a text of more than 512 KiB. Close
// and Shutdown wait three seconds at most for the handler, and 200 ms for one that takes no
// record; the records left after three seconds are lost.
type Output struct {
	Stdout io.Writer    // nil: os.Stdout
	Stderr io.Writer    // nil: os.Stderr
	Logger *slog.Logger // nil: slog.Default(); gets what workers log with slog, with attributes worker and pid, from the level on that it has when the pool is made
}
