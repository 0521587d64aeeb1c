package sys

import (
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// CanPin returns an error if no process of ours could run on just these CPUs. It
// tries with a thread, which ends.
func CanPin(cpus []int) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		set := setOf(cpus)
		result <- os.NewSyscallError("sched_setaffinity", unix.SchedSetaffinity(0, &set))
	}()
	return <-result
}

func setOf(cpus []int) (set unix.CPUSet) {
	for _, n := range cpus {
		set.Set(n)
	}
	return set
}

// Pin lets all threads of a process run only on the given CPUs. Threads inherit
// that from those that start them, so it is done once a look at all of them finds
// none without it.
func Pin(pid int, cpus []int) error {
	set := setOf(cpus)
	pinned := map[int]bool{}
	for more := true; more; {
		more = false
		threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			return err
		}
		for _, t := range threads {
			tid, _ := strconv.Atoi(t.Name())
			if pinned[tid] {
				continue
			}
			if err := unix.SchedSetaffinity(tid, &set); err != nil && err != unix.ESRCH {
				return os.NewSyscallError("sched_setaffinity", err)
			}
			pinned[tid], more = true, true
		}
	}
	return nil
}
