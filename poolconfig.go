package mp

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/go-multiprocessing/mp/internal/screen"
	"github.com/go-multiprocessing/mp/internal/sys"
)

// PoolConfig describes a [Pool]. The zero value is a pool with a worker for
// each usable processor.
type PoolConfig struct {
	// Workers is the number of worker processes, up to 65,535; 0 means [NumCPU].
	Workers int

	// Procs is GOMAXPROCS in each worker; 0 means the usable processors
	// shared out among the workers, at least 1.
	Procs int

	// Setup is run in each worker before its first task, its result is ignored; Teardown after its
	// last when the pool is shut down or the worker recycled (not when the pool
	// is closed or the worker dies). A worker whose Setup fails is started again a few times; when none
	// can be, every task gets a [*StartError] with the reason. NewPool does not
	// wait for Setup, [Pool.Ready] does. Timeout is not for them: a Setup may take long, and
	// after ten seconds that is logged. In the Setup of a spare the worker's number is 0.
	Setup, Teardown Task

	// Env are variables added to this program's environment or put in the
	// place of its own, as "KEY=value"; Dir is the workers' working directory, "" for this program's.
	Env []string
	Dir string

	// Executable is the program to start as a worker; "" means this one. Its
	// main is [Init]: one that does not call it within a minute cannot serve.
	// Functions that it is to run are registered in a package that both
	// programs import.
	Executable string

	// Output says where the workers' output goes.
	Output Output

	// Timeout limits how long each task may run, unless the call says
	// otherwise with [Timeout]; 0 means no limit. Grace is how long a task has
	// to return after its context has ended, for whatever reason, before it is
	// killed with its worker; 0 means 250 ms.
	Timeout, Grace time.Duration

	// Limits bound what each worker may use.
	Limits Limits

	// MaxMessage is the maximum size of an encoded argument or result in bytes. A task with a
	// larger one ends with a [*CodecError] whose cause is [ErrTooLong]: an argument is not
	// sent, a result is not returned. This process allocates memory for a worker's message as
	// bytes arrive: after the first MiB at most twice the bytes that have arrived, three times
	// while they are copied to a larger buffer, and never more than twice MaxMessage. NewPool
	// returns an error if MaxMessage is negative. Defaults to 1 GiB.
	MaxMessage int

	// RequireContainment says what must kill that which a task starts and which
	// leaves its worker's process group; NewPool returns an error where it
	// cannot. "" requires nothing.
	RequireContainment Containment

	// Recycle says when workers are replaced by fresh ones, Restart how those
	// that cannot be started are tried again.
	Recycle Recycle
	Restart Restart

	// Spares is how many further workers are kept ready, their Setup done, to
	// take the place of one that dies or is recycled: that then takes no time.
	// Each needs the memory of a worker.
	Spares int

	// HideArguments leaves the arguments of tasks out of [Stats]: see [SlowTask].
	HideArguments bool

	// Backlog is how many submissions may wait for a worker before Submit and
	// its kin block; 0 means 4096. A Map counts as one.
	Backlog int
}

const (
	mostWorkers    = 1<<16 - 1 // that a task can tell apart
	defaultBacklog = 4096
	defaultMessage = 1 << 30
	defaultGrace   = 250 * time.Millisecond
)

// NumCPU returns the number of processors that this process may use: its
// affinity and its cgroup's bandwidth (v1 and v2) counted. At least 1.
func NumCPU() int { return sys.NumCPU() }

// check returns an error that begins with the first field that has a bad value.
func (c PoolConfig) check() error {
	for _, f := range []struct {
		name  string
		value int
	}{{"Workers", c.Workers}, {"Procs", c.Procs}, {"Backlog", c.Backlog}, {"Spares", c.Spares}, {"MaxMessage", c.MaxMessage}} {
		if f.value < 0 {
			return fmt.Errorf("%s is %d: it must not be negative", f.name, f.value)
		}
	}
	if c.Workers > mostWorkers {
		return bad("Workers is %d: there may be %d", c.Workers, mostWorkers)
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

// bad is an error that begins with a field's name.
func bad(field string, args ...any) error { return fmt.Errorf(field, args...) }

// complete checks the config and replaces zero fields by their defaults. An error begins with kind and the field.
func (c PoolConfig) complete(kind string) (PoolConfig, error) {
	if err := c.check(); err != nil {
		return c, bad("mp: "+kind+".%w", err)
	}

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
		c.Output.Stdout = screen.To(os.Stdout)
	}
	if c.Output.Stderr == nil {
		c.Output.Stderr = screen.To(os.Stderr)
	}
	if c.Output.Logger == nil {
		c.Output.Logger = slog.Default()
	}
	return c, nil
}

// Recycle says when a worker makes way for a fresh one though nothing is wrong
// with it: for libraries that leak, caches that only grow, or memory that others
// could use. It finishes the task that it is running, and what waits behind that
// goes to other workers. Then it has ten seconds to run its Teardown and exit, while
// the next one takes its place: for a moment there can be twice as many processes
// as workers. The zero value never does that.
type Recycle struct {
	// Tasks is how many tasks a worker runs; never one more.
	Tasks int

	// Memory is how many bytes of memory a worker may have for itself when it
	// has finished a task: what is resident, but for mapped files and shared
	// memory. That is looked up whenever results are fetched, a few
	// microseconds each time. A task that the worker has got by then is still
	// run; a fresh worker has a few megabytes. Unlike [Limits].Memory it ends no task.
	Memory int64

	// Idle is how long a worker is kept that has nothing to do. Its place is
	// then empty until there is something: that task waits some milliseconds
	// for a new worker. All workers of a pool may end so.
	Idle time.Duration
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

// Restart says after what time it is tried again to start a worker that could not
// be started or whose Setup failed, and how long tasks wait for it. Workers that die of
// their tasks, or are killed, are replaced at once.
//
// A pool of which a worker has served never gives up: it keeps trying. One of which none has
// served ends after Attempts; only [Pool.Resize] starts it again. [Stats].Failing says what is
// wrong, and since when.
type Restart struct {
	// Attempts is how often in a row a worker may fail to start before tasks no longer wait
	// for it; 0 means 5. When they wait for no worker, they fail at once with the [*StartError]
	// of the last attempt, until a worker serves again. A worker that SIGKILL or SIGTERM ends
	// while it starts says little about the next one: that counts only in Setup, and only
	// after Attempts of them in a row.
	Attempts int

	// Backoff is the time before the second attempt, twice that before the
	// third and so on until MaxBackoff; 0 means 50 ms and 10 s.
	Backoff, MaxBackoff time.Duration
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
