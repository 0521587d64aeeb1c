package sys

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// CanPin returns an error if no process of ours could be restricted to the given CPUs. To find out,
// it restricts a thread, which then ends.
func CanPin(cpus []int) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		set := setOf(cpus)
		result <- os.NewSyscallError("sched_setaffinity", unix.SchedSetaffinity(0, &set))
	}()
	return <-result
}

// Pinned calls f while the calling thread is restricted to the given CPUs. The goroutine must be
// locked to the thread. Processes that f starts inherit the restriction.
func Pinned(cpus []int, f func() error) error {
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return os.NewSyscallError("sched_getaffinity", err)
	}
	set := setOf(cpus)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("it cannot be pinned to the CPUs %v: %w", cpus, os.NewSyscallError("sched_setaffinity", err))
	}
	err := f()
	if back := unix.SchedSetaffinity(0, &before); back != nil && err == nil {
		return os.NewSyscallError("sched_setaffinity", back)
	}
	return err
}

func setOf(cpus []int) (set unix.CPUSet) {
	for _, n := range cpus {
		set.Set(n)
	}
	return set
}

// Numbers returns a process's IDs in the PID namespaces from that of /proc to the process's own. It
// reads them from a file in /proc.
func Numbers(file string) (numbers []int, err error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(b)) {
		list, ok := strings.CutPrefix(line, "NSpid:")
		// Old kernels have no such line for a pidfd.
		if !ok {
			list, ok = strings.CutPrefix(line, "Pid:")
		}
		if ok {
			numbers = numbers[:0]
			for _, field := range strings.Fields(list) {
				n, err := strconv.Atoi(field)
				if err != nil {
					return nil, err
				}
				numbers = append(numbers, n)
			}
		}
	}

	return numbers, nil
}

// Depth returns how many levels the PID namespace of /proc is above our own.
var Depth = sync.OnceValue(func() int {
	numbers, _ := Numbers("/proc/self/status")
	return max(len(numbers)-1, 0)
})

// threads returns the IDs, in our PID namespace, of the threads of a process. The process is given
// by its ID in /proc.
func threads(inProc int) (tids []int, err error) {
	dir := fmt.Sprintf("/proc/%d/task", inProc)
	entries, err := os.ReadDir(dir)
	for _, t := range entries {
		if Depth() == 0 {
			tid, _ := strconv.Atoi(t.Name())
			tids = append(tids, tid)
		} else if numbers, err := Numbers(filepath.Join(dir, t.Name(), "status")); err == nil && len(numbers) > Depth() {
			tids = append(tids, numbers[Depth()])
		}
	}
	return tids, err
}

// Pin restricts all threads of a running process to the given CPUs. The process is given by its ID
// in /proc. A thread inherits the restriction from the thread that starts it, so Pin is done once
// every thread that it finds is restricted. A thread that is just being created is not visible yet,
// so Pin looks once more after a while.
func Pin(inProc int, cpus []int) error {
	set := setOf(cpus)
	pinned := map[int]bool{}
	for looked := false; ; {
		more, err := pinNew(inProc, &set, pinned)
		switch {
		case err != nil:
			return err
		case more:
			looked = false
		case looked:
			return nil
		default:
			looked = true
			time.Sleep(birth)
		}
	}
}

// birth is longer than the kernel takes to create a thread.
const birth = 2 * time.Millisecond

// pinNew pins the threads that are not in pinned, adds them to it, and reports whether there were
// any.
func pinNew(inProc int, set *unix.CPUSet, pinned map[int]bool) (more bool, err error) {
	tids, err := threads(inProc)
	if err != nil {
		return false, err
	}
	for _, tid := range tids {
		if pinned[tid] {
			continue
		}
		if err := unix.SchedSetaffinity(tid, set); err != nil && err != unix.ESRCH {
			return false, os.NewSyscallError("sched_setaffinity", err)
		}
		pinned[tid], more = true, true
	}
	return more, nil
}
