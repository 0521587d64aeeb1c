package link

import (
	"encoding/binary"
	"fmt"
)

// Version is the version of the protocol. Both sides must have the same version.
const Version = 7

// Config is the configuration that the parent sends to a new worker.
type Config struct {
	Version    int
	Worker     int // the worker's number in the pool, counted from 1, or 0 for a spare
	Procs      int // GOMAXPROCS
	LogLevel   int // the lowest slog level that the parent handles
	Limits     Limits
	Single     bool // the worker ends after its first task
	Daemon     bool
	Trace      bool   // log what happens to tasks
	Name       string // the worker's name
	Parent     string // the parent's name
	ParentPID  int
	MaxMessage int // the largest result, in bytes
	Setup      Bound
	Teardown   Bound
}

// Limits are the limits that a worker sets on itself before it runs user code. Zero means no limit.
type Limits struct {
	Memory int  // as set by the caller; see DataLimit
	Group  bool // a control group limits the memory
	Files  int  // open descriptors
	Nice   int  // added to its niceness
	NoCore bool
}

// MaxUnused is the maximum number of bytes that DataLimit adds for memory that is mapped but unused
// when the limit is set.
const MaxUnused = 96 << 20

// DataLimit returns how many bytes of private writable memory a worker may map, given how many
// bytes were mapped but unused at the start. The result exceeds Memory because tasks continue to
// allocate while the garbage collector works, and a refused mapping ends the worker.
func (l Limits) DataLimit(unused int) int {
	const most = 48 << 20
	return l.Memory + min(l.Memory/4, most) + min(unused, MaxUnused)
}

// Bound is a function with its encoded argument. An empty Name means no function.
type Bound struct {
	Name string
	Arg  []byte
}

func (c Config) append(b []byte) []byte {
	for _, n := range []int{c.Version, c.Worker, c.Procs, c.LogLevel + 1<<20, c.Limits.Memory, c.Limits.Files, c.Limits.Nice, one(c.Limits.NoCore), one(c.Limits.Group), c.ParentPID, one(c.Single), one(c.Daemon), one(c.Trace), c.MaxMessage} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	for _, s := range []string{c.Name, c.Parent, c.Setup.Name, string(c.Setup.Arg), c.Teardown.Name, string(c.Teardown.Arg)} {
		b = appendString(b, s)
	}
	return b
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func parseConfig(b []byte) (Config, error) {
	r := reader{b: b}
	c := Config{
		Version: int(r.uint()), Worker: int(r.uint()), Procs: int(r.uint()), LogLevel: int(r.uint()) - 1<<20,
		Limits: Limits{Memory: int(r.uint()), Files: int(r.uint()), Nice: int(r.uint()), NoCore: r.uint() != 0, Group: r.uint() != 0}, ParentPID: int(r.uint()),
		Single: r.uint() != 0, Daemon: r.uint() != 0, Trace: r.uint() != 0, MaxMessage: int(r.uint()), Name: r.string(), Parent: r.string(),
		Setup:    Bound{r.string(), []byte(r.string())},
		Teardown: Bound{r.string(), []byte(r.string())},
	}
	return c, r.err()
}

// Hello is a worker's answer to Config. It says which program the worker runs and which functions
// that program has.
type Hello struct {
	Version int
	Build   string // the build ID of the worker's binary
	Funcs   []FuncID
}

// FuncID identifies a function and the shape of its argument and result. The index in Hello.Funcs
// is the function's number on this link.
type FuncID struct {
	Name string
	In   uint64
	Out  uint64
}

func (h Hello) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(h.Version))
	b = appendString(b, h.Build)
	b = binary.AppendUvarint(b, uint64(len(h.Funcs)))
	for _, f := range h.Funcs {
		b = appendString(b, f.Name)
		b = binary.AppendUvarint(b, f.In)
		b = binary.AppendUvarint(b, f.Out)
	}
	return b
}

// maxHello is the maximum size of a Hello, enough for some 100,000 functions.
const maxHello = 8 << 20

// minFunc is the minimum size of a function in a Hello.
const minFunc = 3

func parseHello(b []byte) (Hello, error) {
	if len(b) > maxHello {
		return Hello{}, fmt.Errorf("%w: a greeting of %d bytes, more than %d", errGarbage, len(b), maxHello)
	}
	r := reader{b: b}
	h := Hello{Version: int(r.uint()), Build: r.string()}
	n := r.uint()
	if n > uint64(len(r.b)/minFunc) {
		return h, fmt.Errorf("%w: %d functions in %d bytes", errGarbage, n, len(r.b))
	}
	if n > 0 {
		h.Funcs = make([]FuncID, 0, n)
	}

	for range n {
		h.Funcs = append(h.Funcs, FuncID{r.string(), r.uint(), r.uint()})
	}
	return h, r.err()
}
