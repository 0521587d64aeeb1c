// Package pool keeps the workers of a pool. It starts and replaces them, sends them tasks as the
// scheduler decides, and reports the outcome of each task exactly once.
//
// Each worker has one goroutine, its pump. Only the pump sends the worker tasks and collects its
// results. A caller of a single task may take the pump's role for the duration of its call. The
// pool's lock guards the state that several workers share. It is never held across an operation
// that can block.
package pool

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

// Config describes the workers of a pool.
type Config struct {
	Workers int
	Path    string // the worker binary; empty means this program
	Args    []string
	Env     []string
	Dir     string
	Link    link.Config // the configuration that each worker gets, except for its number
	Stdout  io.Writer
	Stderr  io.Writer
	Logger  *slog.Logger
	OnLog   func(worker, pid int, data []byte)
	OnFail  func(data []byte) error // decodes the reason why a worker cannot serve
	Funcs   []link.FuncID           // the functions that this program has registered
	Build   string                  // the build ID that workers must have; empty means any
	Grace   time.Duration           // how long a task may outlive its context
	Recycle Recycle                 // when a healthy worker is replaced
	Restart Restart                 // how often a failed start is retried
	Files   []uint64                // sent with Setup and Teardown; see objects.SendFile
	Spares  int                     // workers kept ready to replace others
	Secret  bool                    // the arguments of tasks are never shown
	Limits  Limits                  // of each worker; New adds the memory limit to Link
	Contain spawn.Containment       // kills processes that tasks leave behind

	Patient bool // no worker is killed for being slow

	// Trace is set if the pool logs what happens to workers and tasks.
	Trace bool

	// Backlog is the number of jobs that may wait before Execute blocks.
	Backlog int

	// Single is set if the worker serves one task and is not replaced.
	Single bool

	// OnEnd is called when the process of a Single worker has ended.
	OnEnd func(Death)

	// Name returns the name of the next worker. It may be nil.
	Name func() string

	// Missing returns the error for a function that a worker lacks.
	Missing func(function string) error

	// TooLong returns the error for an argument of n bytes, which is more than Link.MaxMessage.
	TooLong func(function string, n int) error

	// Failure decodes an outcome that is not a result.
	Failure func(fn string, kind uint8, data []byte) error

	// Death translates a Death or StartError into the error that callers get.
	Death func(error) error
}

// Limits bound each worker; a zero field sets no limit.
type Limits struct {
	Memory int64   // in bytes
	Cgroup string  // the directory of a control group in which each worker gets its own
	CPUs   [][]int // the processors of each slot in turn
}

// A ConfigError says which field of a Config is not possible on this system.
type ConfigError struct {
	Field string
	Err   error
}

// Error returns a message that begins with the field's name.
func (e *ConfigError) Error() string { return e.Field + ": " + e.Err.Error() }

// Unwrap returns the system's error.
func (e *ConfigError) Unwrap() error { return e.Err }

// Recycle says when a healthy worker is replaced. Zero means never.
type Recycle struct {
	Tasks  int           // after this many tasks
	Memory int64         // when it has more bytes of private memory
	Idle   time.Duration // after this time without a task; its slot stays empty until there is one
}

// Restart says how a failed start of a worker is retried. Zero values select the defaults.
type Restart struct {
	Attempts   int           // consecutive failures before tasks no longer wait for the worker
	Backoff    time.Duration // before the second attempt; doubles with each further attempt
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

// A Batch is the list of elements that a job runs; see mp.Batch.
type Batch interface {
	Len() int
	Encode(buf []byte, lo, hi int) (out []byte, n int, err error)
	Settle(i int, result []byte, err error)
}

// A RunSettler is a Batch that accepts many results at once. It may keep results that are larger
// than codec.Large.
type RunSettler interface {
	SettleRun(lo int, results [][]byte)
}

// Encoded is implemented by a Batch whose only element is already encoded, so that a large element
// need not be copied. The encoding must not change while the pool holds the batch.
type Encoded interface{ Encoded() []byte }

// Unrepeatable is implemented by batches with elements that must not be retried, because what they
// carry can be sent only once.
type Unrepeatable interface{ Unrepeatable(i int) bool }

// Hints describe how the caller wants a job to be run.
type Hints struct {
	Chunk   int
	Prompt  bool
	Timeout time.Duration // of each task; none if not positive
	Retries int
	Baggage string // sent along with each task
}

// A Watcher is a context that ends with another context or by itself. It reports to the job if it
// ends by itself. The caller of Watch must watch the other context.
type Watcher interface {
	Watch(job Cancellable) (other context.Context)
}

// Cancellable is a job. Cancelled may be called repeatedly and from any goroutine, but not from
// within Watch.
type Cancellable interface{ Cancelled(cause error) }

// A StartError says why a worker could not be started.
type StartError struct {
	Worker    int
	Single    string // as in Death
	Permanent bool   // another attempt will not help
	Last      Death
	Started   bool // there was a process
	Killed    bool // the process was killed, but not by this program
	InSetup   bool // the process had started the user's Setup
	Err       error
}

func (e *StartError) Error() string {
	return fmt.Sprintf("mp: worker %d cannot be started: %v", e.Worker, e.Err)
}

// Unwrap returns the cause.
func (e *StartError) Unwrap() error { return e.Err }

// A Death describes how a worker ended. It is also the error of the task that the worker was
// running.
type Death struct {
	Worker int
	Single string // the name of a worker that is not replaced; otherwise empty
	PID    int
	Status spawn.Status
	Stderr string // the end of the worker's standard error
	Stacks string // the stacks of the worker's goroutines, if the pool asked for them
	Cause  error  // why the pool killed the worker; nil if the pool did not kill it
	Func   string // the function that the worker was running; set only in that task's error

	// Starved is set if the worker had mapped most of the memory that it may map and crashed the
	// way the Go runtime does when the system refuses it memory.
	Starved bool
}

func (d *Death) Error() string {
	return fmt.Sprintf("mp: worker %d (pid %d) ended with %v", d.Worker, d.PID, d.Status)
}

// mayBeKilled reports whether another process may have killed the worker. Such an end says nothing
// about the next worker.
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

// Cancelled is the outcome of a task that was cancelled before it started.
type Cancelled struct{ Cause error }

func (e *Cancelled) Error() string { return fmt.Sprintf("mp: cancelled before it began: %v", e.Cause) }

// Unwrap returns the context's cause.
func (e *Cancelled) Unwrap() error { return e.Cause }

// Info describes a worker.
type Info struct {
	Worker  int
	Name    string
	PID     int
	Busy    bool
	Running bool // a task has started
	Task    uint64
	Func    string
	Started time.Time

	Begun    time.Time     // about when the running task started
	Done     int           // finished tasks
	Before   int           // workers that had its slot before
	Starting time.Duration // from its start until it could serve
	Working  time.Duration // the time spent in tasks
	Waiting  time.Duration // the time without tasks
	Talking  time.Duration // the time during which tasks and results were in transit
	RSS      int64         // bytes in memory
	Peak     int64         // the largest RSS so far
}

// FuncInfo describes the tasks of a function.
type FuncInfo struct {
	Func    string
	Done    int
	Average time.Duration // of the most recent tasks
	Chunk   int           // the size of the last chunk
}

// Slow describes a slow task.
type Slow struct {
	Func   string
	Task   uint64
	Worker int
	Took   time.Duration
	Arg    string
	Lost   bool // its worker ended first
}

// End describes the end of a worker.
type End struct {
	Worker int
	PID    int
	When   time.Time
	Served time.Duration
	Done   int // finished tasks
	Why    string
}

// Failing is a slot for which no worker can be started at present. Number 0 stands for the spares.
type Failing struct {
	Worker   int
	Attempts int
	Since    time.Time
	Why      error
}

// An Answer is a worker's answer to a query, or the reason why there is none.
type Answer struct {
	Worker, PID int
	Data        []byte
	Err         error
}

// A Describer is a Batch that can describe an element in a few words.
type Describer interface{ Describe(i int) string }

// Stats is a pool's state and its history.
type Stats struct {
	Slots   int // slots to be filled
	Serving int // filled slots
	Busy    int // workers with tasks
	Spares  int // ready to fill a slot
	Queued  int // jobs with tasks that have not been sent to a worker yet

	Started  int // workers that have served
	Recycled int // of Started: ended to make way for fresh ones
	Died     int // of Started: ended in any other way

	Workers []Info
	Funcs   []FuncInfo // by name
	Slowest []Slow
	Ends    []End // the last ends of workers
	Failing []Failing
}

// ErrProtocol is the cause of death of a worker that is killed for violating the protocol.
var ErrProtocol = errors.New("what it sent makes no sense")

// ErrMemory is the cause of death of a worker that is killed for exceeding its memory limit.
var ErrMemory = errors.New("it has more memory than Limits.Memory")
