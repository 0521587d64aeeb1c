package spawn

import (
	"fmt"
	"syscall"
	"time"
)

// Spec describes a process to start.
type Spec struct {
	Path   string   // empty means this program, /proc/self/exe
	Args   []string // including the program's name
	Title  string   // shown in lists of processes; may be empty
	Env    []string
	Single bool // a worker for one task
	Procs  int  // the process's GOMAXPROCS; 0 leaves it to the environment
	Dir    string
	Files  []int // become descriptors 3, 4, …
	Stdout int
	Stderr int

	Cancel <-chan struct{} // closed when Start should stop waiting; may be nil

	// Refused is called if the system does not allow this process to kill the started process,
	// because one of the two has changed its user. Refused must make the started process end by
	// itself. It is called at most once, on its own goroutine.
	Refused func()

	Contain Containment
	CPUs    []int   // where the process may run, from its first instruction on; nil means on all of ours
	Cgroup  *Cgroup // the group below which the process gets its own; may be nil
	Memory  int64   // the memory limit of the process's group; 0 means none
}

// Status says how a process ended.
type Status struct {
	ExitCode int            // -1 if a signal ended the process, or if the status is unknown
	Signal   syscall.Signal // 0 if no signal ended the process
	OOM      bool           // it was killed at the memory limit of its control group
	Lost     bool           // its status is unknown, because other code reaped it
	Stuck    bool           // it has not ended long after it was killed
}

// givenUp is how long a killed process may live before it is given up. It is a variable so that
// tests can change it.
var givenUp = 5 * time.Second

func (s Status) String() string {
	if s.Lost {
		return "an unknown exit status"
	}
	if s.Stuck {
		return fmt.Sprintf("no end in %v after signal %d (%v)", givenUp, int(s.Signal), s.Signal)
	}
	if s.OOM {
		return fmt.Sprintf("signal %d (%v), out of memory", int(s.Signal), s.Signal)
	}
	if s.Signal != 0 {
		return fmt.Sprintf("signal %d (%v)", int(s.Signal), s.Signal)
	}
	return fmt.Sprintf("exit code %d", s.ExitCode)
}
