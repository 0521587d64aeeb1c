package mp

import "time"

// FuncStats is what is known of a function's tasks.
type FuncStats struct {
	Func    string
	Done    int
	Average time.Duration // of late
	Chunk   int           // how many were last sent together
}
