package sys

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"

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

// Numbers are a process's in the PID namespaces from that of /proc to its own, as a
// file of /proc says.
func Numbers(file string) (numbers []int, err error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(b)) {
		list, ok := strings.CutPrefix(line, "NSpid:")
		if !ok { // an old kernel tells only that of a pidfd
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

// Depth is how many PID namespaces further out than ours /proc is.
var Depth = sync.OnceValue(func() int {
	numbers, _ := Numbers("/proc/self/status")
	return max(len(numbers)-1, 0)
})

// threads are the numbers, in our PID namespace, of the threads of a process; it is
// named by its number in /proc.
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

// Pin lets all threads of a process, named by its number in /proc, run only on the given CPUs. Threads inherit
// that from those that start them, so it is done once a look at all of them finds
// none without it.
func Pin(inProc int, cpus []int) error {
	set := setOf(cpus)
	pinned := map[int]bool{}
	for more := true; more; {
		more = false
		tids, err := threads(inProc)
		if err != nil {
			return err
		}
		for _, tid := range tids {
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
