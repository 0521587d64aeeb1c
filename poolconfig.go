package mp

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/go-multiprocessing/mp/internal/stdio"
	"github.com/go-multiprocessing/mp/internal/sys"
)

// PoolConfig describes a [Pool]. The zero value describes a pool with one worker for each usable
// processor.
type PoolConfig struct {
	// Workers is the number of worker processes, at most 65,535. Defaults to [NumCPU].
	Workers int

	// Procs is GOMAXPROCS in each worker. Defaults to the number of usable processors divided by
	// Workers, but at least 1.
	Procs int

	// Setup runs in each worker before the worker's first task. Its result is ignored. NewPool does
	// not wait for Setup; [Pool.Ready] does. Timeout does not apply to Setup, but a Setup that runs
	// for ten seconds is logged. In the Setup of a spare, the worker's number is 0.
	//
	// If Setup fails, the worker is started again as [Restart] says. If no worker can be started,
	// every task gets a [*StartError] with the reason. Defaults to no setup.
	Setup Task

	// Teardown runs in each worker after the worker's last task, when the pool is shut down or the
	// worker is recycled. It does not run when the pool is closed or the worker dies. Timeout does
	// not apply to Teardown. Defaults to no teardown.
	Teardown Task

	// Env lists environment variables for the workers, each of the form KEY=value. They are added
	// to this program's environment and override its variables. Defaults to this program's
	// environment alone.
	Env []string

	// Dir is the workers' working directory. Defaults to this program's working directory.
	Dir string

	// Executable is the program to start as a worker. Its main must call [Init] within a minute of
	// its start. Register the functions that it will run in a package that both programs import.
	// Defaults to this program.
	Executable string

	// Output says where the workers' output goes. Defaults to this program's standard output,
	// standard error and slog.Default().
	Output Output

	// Timeout is how long each task may run. A call can override it with the option [Timeout].
	// Defaults to no limit.
	Timeout time.Duration

	// Grace is how long a task may take to return after its context has ended. A task that takes
	// longer is killed with its worker. Defaults to 250 ms.
	Grace time.Duration

	// Limits bound the resources of each worker. Defaults to no limits.
	Limits Limits

	// MaxMessage is the maximum size of an encoded argument or result in bytes. A task with a
	// larger one ends with a [*CodecError] whose cause is [ErrTooLong]: an argument is not sent,
	// and a result is not returned.
	//
	// This process allocates memory for a worker's message as the bytes arrive. After the first MiB
	// it allocates at most twice the bytes that have arrived, or three times while it copies them
	// to a larger buffer, and never more than twice MaxMessage. Defaults to 1 GiB.
	MaxMessage int

	// RequireContainment is the weakest acceptable [Containment]: the means of killing processes
	// that a task starts and that leave their worker's process group. NewPool returns an error if
	// the system does not provide that containment. Defaults to [ContainGroup], or [ContainCgroup]
	// if Limits.Cgroup is set.
	RequireContainment Containment

	// Recycle says when healthy workers are replaced. Defaults to never.
	Recycle Recycle

	// Restart says how often a failed start of a worker is retried. Its fields have defaults of
	// their own.
	Restart Restart

	// Spares is the number of additional workers that are kept ready, with their Setup done. When a
	// worker dies or is recycled, a spare replaces it without delay. Each spare needs as much
	// memory as a worker. Defaults to no spares.
	Spares int

	// HideArguments omits the arguments of tasks from [Stats]; see [SlowTask]. Defaults to false.
	HideArguments bool

	// Backlog is how many submissions may wait for a worker before [Submit] and the other calls
	// block. A [Map] counts as one submission. Defaults to 4096.
	Backlog int
}

// Recycle says when a healthy worker is replaced by a new one. This helps with libraries that leak,
// caches that only grow, and memory that others could use. The zero value never replaces a worker.
//
// The worker finishes its current task. Tasks that wait behind it go to other workers. The worker
// then has ten seconds to run its Teardown and exit, while its replacement already starts. For that
// time there can be twice as many processes as workers.
type Recycle struct {
	// Tasks is the number of tasks after which a worker is replaced. The worker never runs more
	// tasks than that. Defaults to no limit.
	Tasks int

	// Memory is how many bytes of private memory a worker may have when it finishes a task. Private
	// memory is the resident memory without mapped files and shared memory; a new worker has a few
	// megabytes. A worker with more is replaced, but first runs the task that it has already
	// received. Unlike [Limits].Memory, this field never ends a task.
	//
	// This process reads the size whenever it fetches results, which costs a few microseconds each
	// time. Defaults to no limit.
	Memory int64

	// Idle is how long a worker may have no tasks before it ends. Its slot stays empty until a task
	// needs it, and that task waits some milliseconds for the new worker. All workers of a pool may
	// end this way. Defaults to no limit.
	Idle time.Duration
}

// Restart says how the pool retries starting a worker that could not be started or whose Setup
// failed, and how long tasks wait for that worker. A worker that dies or is killed while it serves
// is replaced at once.
//
// Once a worker has served, the pool retries forever. If no worker has ever served, the pool gives
// up after Attempts, and only [Pool.Resize] makes it try again. [Stats].Failing tells what is
// wrong, and since when.
type Restart struct {
	// Attempts is how often in a row a worker may fail to start before tasks stop waiting for it.
	// When there is no worker left to wait for, tasks fail at once with the [*StartError] of the
	// last attempt, until a worker serves again.
	//
	// A worker that SIGKILL, SIGTERM, SIGINT or SIGHUP ends while it starts says little about the
	// next attempt. Such deaths count only if they happen during Setup, and only after Attempts of
	// them in a row. Defaults to 5.
	Attempts int

	// Backoff is the time before the second attempt. The time doubles with each further attempt, up
	// to MaxBackoff. Defaults to 50 ms.
	Backoff time.Duration

	// MaxBackoff is the maximum time between two attempts. Defaults to 10 s.
	MaxBackoff time.Duration
}

// Output says where the workers' output goes. Output arrives in whole lines: lines of up to 64 KiB
// from different workers do not mix, but another worker's line may come between two lines of one
// worker. Output may arrive after the result of the task that printed it.
//
// Each writer, and the logger's handler, is called by one goroutine at a time. Close and Shutdown
// return when all output has arrived, unless a writer or the handler blocks. They then abandon its
// goroutine.
//
// Log records wait for a slow handler. The first worker can have up to 8192 records and 8 MiB
// waiting, each further worker fewer. Records beyond that are lost, and a record of its own reports
// their number. A record of more than 1 MiB is truncated, and so is a text of more than 512 KiB.
// Close and Shutdown wait up to three seconds for the handler, but only 200 ms if it takes no
// record. The remaining records are lost.
type Output struct {
	// Stdout receives the workers' standard output. Defaults to os.Stdout.
	Stdout io.Writer

	// Stderr receives the workers' standard error. Defaults to os.Stderr.
	Stderr io.Writer

	// Logger receives the records that workers log with slog. Each record has the attributes worker
	// and pid. The level that Logger has when the pool is made also applies in the workers.
	// Defaults to slog.Default().
	Logger *slog.Logger
}

// NumCPU returns the number of processors that this process may use, at least 1. It takes the CPU
// affinity and the cgroup's bandwidth (v1 and v2) into account.
func NumCPU() int { return sys.NumCPU() }

const (
	maxWorkers     = 1<<16 - 1 // a task's worker number has 16 bits
	defaultBacklog = 4096
	defaultMessage = 1 << 30
	defaultGrace   = 250 * time.Millisecond
)

// check returns an error that begins with the name of the first invalid field.
func (c PoolConfig) check() error {
	for _, f := range []struct {
		name  string
		value int
	}{{"Workers", c.Workers}, {"Procs", c.Procs}, {"Backlog", c.Backlog}, {"Spares", c.Spares}, {"MaxMessage", c.MaxMessage}} {
		if f.value < 0 {
			return fmt.Errorf("%s is %d: it must not be negative", f.name, f.value)
		}
	}

	if c.Workers > maxWorkers {
		return bad("Workers is %d: there may be %d", c.Workers, maxWorkers)
	}

	for _, f := range []struct {
		name  string
		value time.Duration
	}{{"Timeout", c.Timeout}, {"Grace", c.Grace}} {
		if f.value < 0 {
			return fmt.Errorf("%s is %v: it must not be negative", f.name, f.value)
		}
	}

	for _, part := range []interface{ check() error }{c.Limits, c.Recycle, c.Restart, c.containing()} {
		if err := part.check(); err != nil {
			return err
		}
	}

	for _, v := range c.Env {
		if i := strings.IndexByte(v, '='); i < 1 || strings.IndexByte(v, 0) >= 0 {
			return bad("Env has %q: it must be of the form KEY=value", v)
		}
	}

	if c.Dir == "" {
		return nil
	}
	if info, err := os.Stat(c.Dir); err != nil {
		return bad("Dir: %w", err)
	} else if !info.IsDir() {
		return bad("Dir: %s is not a directory", c.Dir)
	}
	return nil
}

// bad returns an error that begins with a field's name.
func bad(field string, args ...any) error { return fmt.Errorf(field, args...) }

// withDefaults replaces zero fields by their defaults.
func (c PoolConfig) withDefaults() PoolConfig {
	if c.Workers == 0 {
		c.Workers = NumCPU()
	}
	if c.Procs == 0 {
		c.Procs = max(NumCPU()/c.Workers, 1)
	}
	if c.Grace == 0 {
		c.Grace = defaultGrace
	}
	if c.Backlog == 0 {
		c.Backlog = defaultBacklog
	}
	if c.MaxMessage == 0 {
		c.MaxMessage = defaultMessage
	}

	if c.Output.Stdout == nil {
		c.Output.Stdout = stdio.To(os.Stdout)
	}
	if c.Output.Stderr == nil {
		c.Output.Stderr = stdio.To(os.Stderr)
	}
	if c.Output.Logger == nil {
		c.Output.Logger = slog.Default()
	}

	return c
}

func (r Recycle) check() error {
	switch {
	case r.Tasks < 0:
		return fmt.Errorf("Recycle.Tasks is %d: it must not be negative", r.Tasks)
	case r.Memory < 0:
		return fmt.Errorf("Recycle.Memory is %d: it must not be negative", r.Memory)
	case r.Idle < 0:
		return fmt.Errorf("Recycle.Idle is %v: it must not be negative", r.Idle)
	}
	return nil
}

func (r Restart) check() error {
	switch {
	case r.Attempts < 0:
		return fmt.Errorf("Restart.Attempts is %d: it must not be negative", r.Attempts)
	case r.Backoff < 0:
		return fmt.Errorf("Restart.Backoff is %v: it must not be negative", r.Backoff)
	case r.MaxBackoff < 0:
		return fmt.Errorf("Restart.MaxBackoff is %v: it must not be negative", r.MaxBackoff)
	}
	return nil
}
