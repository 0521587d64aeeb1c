package spawn

import (
	"fmt"
	"syscall"
	"time"
)

// Spec says what to start.
type Spec struct {
	Path   string   // empty: this program, /proc/self/exe
	Args   []string // with the program's name
	Title  string   // of the process, in lists of processes; may be empty
	Env    []string
	Single bool // a worker for one task
	Procs  int  // its GOMAXPROCS; 0: as the environment says
	Dir    string
	Files  []int // become descriptors 3, 4, …
	Stdout int
	Stderr int

	Cancel <-chan struct{} // closed when the start is not to be waited for any more; nil: never

	// Refused is called, at most once and in a goroutine, if the system does not let us kill the process, since
	// one of us has changed its user. It is to make the process end by itself.
	Refused func()

	Contain Containment
	CPUs    []int   // on which it may run, from its first instruction; nil: all of ours
	Cgroup  *Cgroup // gets a group for the process; nil: none
	Memory  int64   // limit of that group; 0: none
}

// Status says how a process ended.
type Status struct {
	ExitCode int            // -1 if a signal ended it, or that is not known
	Signal   syscall.Signal // 0 if none did
	OOM      bool           // it was killed at the limit of its control group
	Lost     bool           // it is not known how it ended: it was not we who reaped it
	Stuck    bool           // it has not ended yet, long after it was killed
}

// givenUp is how long a process may live after it was killed before it is given up; a variable for tests.
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
