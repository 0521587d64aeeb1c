// Package crew is the living set of workers behind a pool: it starts and
// replaces them, carries tasks to them as the scheduler decides, and tells the
// outcome of each task exactly once.
//
// Each worker has one goroutine, its pump, which alone sends it tasks and
// collects its results; a lone caller takes the pump's place for the time of
// its call. What several workers share is under the crew's lock, which is
// never held across anything that can block.
package crew

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"syscall"
	"time"

	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/spawn"
)

// Config describes a crew.
type Config struct {
	Workers int
	Path    string // of the worker binary; empty: this program
	Args    []string
	Env     []string
	Dir     string
	Link    link.Config // what each worker is told, but for its number
	Stdout  io.Writer
	Stderr  io.Writer
	Logger  *slog.Logger
	OnLog   func(worker, pid int, data []byte)
	OnFail  func(data []byte) error                        // decodes why a worker cannot serve
	Funcs   []link.FuncID                                  // what this program has registered
	Build   string                                         // the build id that workers must have; empty: any
	Grace   time.Duration                                  // from the end of a task's context to its worker's
	Recycle Recycle                                        // when a worker is replaced though nothing is wrong with it
	Restart Restart                                        // how often starting one is tried
	Files   []uint64                                       // sent with Setup and Teardown; see share.SendFile
	Spares  int                                            // workers kept ready to replace others
	Secret  bool                                           // nothing is told of what tasks are given
	Limits  Limits                                         // of each worker; New adds the memory limit to Link
	Contain spawn.Containment                              // kills what tasks leave behind
	Patient bool                                           // no worker is ended for taking its time
	Trace   bool                                           // what becomes of workers and tasks is logged
	Backlog int                                            // jobs that may wait before Execute blocks
	Single  bool                                           // the worker is for one task, and not replaced
	OnEnd   func(Death)                                    // called at the end of a Single worker that had come into service
	Name    func() string                                  // names the next worker
	Missing func(function string) error                    // why a worker has no such function
	TooLong func(function string, n int) error             // returns the error for an argument above Link.MaxMessage
	Failure func(fn string, kind uint8, data []byte) error // decodes an outcome that is no result
	Death   func(error) error                              // translates a Death or StartError
}

// Limits bound each worker; a zero field sets no limit.
type Limits struct {
	Memory int64   // in bytes
	Cgroup string  // the directory of a control group, in which each worker gets one
	CPUs   [][]int // the processors of each slot in turn
}

// A ConfigError says which field of a Config cannot be had on this system.
type ConfigError struct {
	Field string
	Err   error
}

// Error begins with the field.
func (e *ConfigError) Error() string { return e.Field + ": " + e.Err.Error() }

// Unwrap returns the system's error.
func (e *ConfigError) Unwrap() error { return e.Err }

// Recycle says when a worker makes way for a fresh one; 0 is never.
type Recycle struct {
	Tasks  int           // after so many
	Memory int64         // when it has more bytes of memory for itself
	Idle   time.Duration // without a task: then its place is empty until there is one
}

// Restart says how a worker that cannot be started is tried again; 0 is the
// default.
type Restart struct {
	Attempts   int           // in a row, before tasks no longer wait for it
	Backoff    time.Duration // before the second; twice that before the third
	MaxBackoff time.Duration
}

func (r Restart) withDefaults() Restart {
	if r.Attempts == 0 {
		r.Attempts = 5
	}
	if r.Backoff == 0 {
		r.Backoff = 50 * time.Millisecond
	}
	if r.MaxBackoff == 0 {
		r.MaxBackoff = 10 * time.Second
	}
	return r
}

// A Batch is what a job runs; see mp.Batch.
type Batch interface {
	Len() int
	Encode(buf []byte, lo, hi int) (out []byte, n int, err error)
	Settle(i int, result []byte, err error)
}

// A RunSettler is a Batch that takes many results at once, and may keep those that are larger
// than codec.Large.
type RunSettler interface {
	SettleRun(lo int, results [][]byte)
}

// Encoded is implemented by a Batch of one element that it has encoded already, so that what is
// large need not be copied. It is not changed as long as the crew has it.
type Encoded interface{ Encoded() []byte }

// Unrepeatable is implemented by batches of which some elements must not be retried: what they
// bring along can be sent only once.
type Unrepeatable interface{ Unrepeatable(i int) bool }

// Hints are what the caller knows of a job.
type Hints struct {
	Chunk   int
	Prompt  bool
	Timeout time.Duration // of each task; not positive: none
	Retries int
	Baggage string // goes along with each task
}

// A Watcher is a context that ends with another one or by itself. It tells the
// job of the latter and leaves the former to the caller.
type Watcher interface {
	Watch(job Cancellable) (other context.Context)
}

// Cancellable is a job. Cancelled may be called again and from any goroutine,
// but not within Watch.
type Cancellable interface{ Cancelled(cause error) }

// A StartError says why a worker could not be started.
type StartError struct {
	Worker    int
	Single    string // as in Death
	Permanent bool   // trying again will not help
	Last      Death
	Started   bool // there was a process
	Killed    bool // it was killed, not by us
	InSetup   bool // it ran the user's Setup
	Err       error
}

func (e *StartError) Error() string {
	return fmt.Sprintf("mp: worker %d cannot be started: %v", e.Worker, e.Err)
}

// Unwrap returns the cause.
func (e *StartError) Unwrap() error { return e.Err }

// A Death is how a worker ended; it is the outcome of the task that was running.
type Death struct {
	Worker int
	Single string // the name of a worker that is not replaced; else empty
	PID    int
	Status spawn.Status
	Stderr string // the end of what it wrote there
	Stacks string // of its goroutines, if it was asked for them
	Cause  error  // why the crew killed it; nil if it did not
	Func   string // of the task that it was running, in that task's error

	// Starved means that it crashed the way the Go runtime does when it is refused memory, and had much memory mapped.
	Starved bool
}

func (d *Death) Error() string {
	return fmt.Sprintf("mp: worker %d (pid %d) ended with %v", d.Worker, d.PID, d.Status)
}

// mayBeKilled reports whether something else may have killed the worker, which says nothing
// about the next one.
func (d *Death) mayBeKilled() bool {
	switch d.Status.Signal {
	case syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP:
		return true
	}
	return false
}

func (d *Death) saying() string {
	if d.Stderr == "" {
		return ""
	}
	return "\n" + d.Stderr
}

// Cancelled is the outcome of a task that was cancelled before it began.
type Cancelled struct{ Cause error }

func (e *Cancelled) Error() string { return fmt.Sprintf("mp: cancelled before it began: %v", e.Cause) }

// Unwrap returns the context's cause.
func (e *Cancelled) Unwrap() error { return e.Cause }

// Info is what is known of a worker.
type Info struct {
	Worker  int
	Name    string
	PID     int
	Busy    bool
	Running bool // a task has begun
	Task    uint64
	Func    string
	Started time.Time

	Begun    time.Time     // the task, about; if one is running
	Done     int           // tasks
	Before   int           // workers that were in its place before
	Starting time.Duration // until it could serve
	Working  time.Duration // in tasks
	Waiting  time.Duration // without tasks
	Talking  time.Duration // with tasks that were on their way
	RSS      int64         // bytes in memory
	Peak     int64         // and at most so far
}

// FuncInfo is what is known of a function's tasks.
type FuncInfo struct {
	Func    string
	Done    int
	Average time.Duration // of the last ones
	Chunk   int           // how many were last sent together
}

// Slow is a task that took long.
type Slow struct {
	Func   string
	Task   uint64
	Worker int
	Took   time.Duration
	Arg    string
	Lost   bool // it ended with its worker
}

// End is that of a worker.
type End struct {
	Worker int
	PID    int
	When   time.Time
	Served time.Duration
	Done   int // tasks
	Why    string
}

// Failing is a place, or with number 0 the spares, for which no worker can be started at present.
type Failing struct {
	Worker   int
	Attempts int
	Since    time.Time
	Why      error
}

// An Answer is what a worker has answered, or why it has not.
type Answer struct {
	Worker, PID int
	Data        []byte
	Err         error
}

// A Describer is a batch that can say what an element is, in a few words.
type Describer interface{ Describe(i int) string }

// Stats is a crew's state and what has happened to it so far.
type Stats struct {
	Places  int // to be filled
	Serving int // filled
	Busy    int // with tasks
	Spares  int // ready to fill one
	Queued  int // jobs with tasks that no worker has yet

	Started  int // processes that have come into service
	Recycled int // of them, ended to make way for fresh ones
	Died     int // of them, ended in any other way

	Workers []Info
	Funcs   []FuncInfo // by name
	Slowest []Slow
	Ends    []End // the last ones
	Failing []Failing
}

// ErrCorrupt is the cause of killing a worker that does not keep to the
// protocol.
var ErrCorrupt = errors.New("what it sent makes no sense")

// ErrMemory is the cause of the end of a worker that had more memory than it may have.
var ErrMemory = errors.New("it has more memory than Limits.Memory")
