package mp

import (
	"io"
	"log/slog"
)

// Output says where workers' output goes. It arrives whole lines at a time; lines
// of different workers, up to 64 KiB long, do not mix, but lines that one worker
// prints together may be parted by another's. Output may arrive after the result of
// the task that printed it; Close and Shutdown return when all has arrived, unless
// a writer or handler blocks: that is left behind. Each writer, and the handler, is
// called by one goroutine at a time. Log records that a slow handler leaves waiting
// by the thousand are lost, and counted in the log.
type Output struct {
	Stdout io.Writer    // nil: os.Stdout
	Stderr io.Writer    // nil: os.Stderr
	Logger *slog.Logger // nil: slog.Default(); gets what workers log with slog, with attributes worker and pid, from the level on that it has when the pool is made
}
