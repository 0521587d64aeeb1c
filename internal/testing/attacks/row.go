//go:build linux

package attacks

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// The families of rows.
const (
	Descriptors = "descriptors"
	Words       = "words"
	Messages    = "messages"
	Programs    = "programs"
	Honest      = "honest"
)

// A Row is one attack, or one honest process that only looks like an attacker.
type Row struct {
	Family string
	Target string // what is attacked
	Deed   string // what is done to it
	Bounds Bounds

	// attack runs as a task in a worker of the attacked pool.
	attack func(ctx context.Context, v *victim) error
	// inMain runs in the attacked program instead of a task. It does an honest process's work, or
	// uses in main what an attack has left.
	inMain func(ctx context.Context, w *world) error
	// during is called during the attack, with a context that ends with it.
	during func(ctx context.Context, w *world)
	// after is called in the attacked program when the attack has ended.
	after func(ctx context.Context, w *world) error

	gives   string // the kind of object that the attacker is given
	works   bool   // the attack must end without an error
	until   bool   // the attack is cancelled when during returns
	own     bool   // the attacker's worker may return wrong results for its own tasks
	alone   bool   // no bystander uses the attacked pool
	first   bool   // no bystander uses the attacked pool until a child of the attack has reported
	stuck   bool   // the log handler does not return before the attack is over
	waits   bool   // the row waits more than it works
	heavy   bool   // the row keeps all processors busy for seconds
	long    bool   // the row is part of the long form only
	env     []string
	workers int // of the attacked pool; 0 means 2
}

// Bounds are what a row may cost the attacked program. Zero fields have defaults.
type Bounds struct {
	Timeout     time.Duration // of the attack's task
	Memory      int           // MiB more than before
	Descriptors int
	Goroutines  int
	Threads     int
	Grace       time.Duration // of the attacked pool
}

// Defaults of Bounds, and bounds that hold for all rows.
const (
	DefaultTimeout     = 400 * time.Millisecond
	DefaultMemory      = 256
	DefaultDescriptors = 64
	DefaultGoroutines  = 128
	DefaultThreads     = 32
	DefaultGrace       = 150 * time.Millisecond

	// CallTimeout is the timeout of a bystander's call.
	CallTimeout = 10 * time.Second
	// Slack is how long a call may outlive its context, in addition to the grace period.
	Slack = 2 * time.Second
	// Closing is how long Close and Shutdown may take.
	Closing = 5 * time.Second

	// Stacks is how many bytes of its goroutines' stacks a worker may send.
	Stacks = 64 << 10
	// Files is how many descriptors the attacked program may open. Some of them are descriptors
	// that other processes can make it keep.
	Files = 4096
)

func (b Bounds) withDefaults() Bounds {
	set(&b.Timeout, DefaultTimeout)
	set(&b.Memory, DefaultMemory)
	set(&b.Descriptors, DefaultDescriptors)
	set(&b.Goroutines, DefaultGoroutines)
	set(&b.Threads, DefaultThreads)
	set(&b.Grace, DefaultGrace)
	return b
}

func set[T int | time.Duration](v *T, otherwise T) {
	if *v == 0 {
		*v = otherwise
	}
}

// Name returns the row's name as a test.
func (r Row) Name() string {
	return strings.NewReplacer(" ", "_").Replace(fmt.Sprintf("%s/%s/%s", r.Family, strings.ReplaceAll(r.Target, "/", "-"), strings.ReplaceAll(r.Deed, "/", "-")))
}

// Limit returns how long the whole row may take before the test gives up on the row's program.
func (r Row) Limit() time.Duration {
	b := r.Bounds.withDefaults()
	return b.Timeout + b.Grace + 3*(CallTimeout+Slack) + 3*Closing
}

// Long reports whether the row belongs only to the long form.
func (r Row) Long() bool { return r.long }

// Waits reports whether the row waits more than it works, so that it can run while others do.
func (r Row) Waits() bool { return r.waits }

// Heavy reports whether the row keeps all processors busy for seconds. Its time bounds hold only
// while no other row does so.
func (r Row) Heavy() bool { return r.heavy }

// boundsInWords returns the bounds as docs/attacks.md words them.
func boundsInWords() []string {
	return []string{
		fmt.Sprintf("%d MiB of memory", DefaultMemory),
		fmt.Sprintf("%d descriptors", DefaultDescriptors),
		fmt.Sprintf("%d goroutines", DefaultGoroutines),
		fmt.Sprintf("%d threads", DefaultThreads),
		fmt.Sprintf("%d s for a bystander's call", int(CallTimeout.Seconds())),
		fmt.Sprintf("grace period and %d s", int(Slack.Seconds())),
		fmt.Sprintf("return within %d s", int(Closing.Seconds())),
	}
}
