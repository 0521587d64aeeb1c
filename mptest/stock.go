package mptest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// stock is a record of the resources of this process, and of the processes that carry its tag.
type stock struct {
	fds   map[string]bool // by number and target
	maps  int             // number of mapped segments of mp
	procs map[int]bool
	gos   map[string]bool // goroutines of mp, by number
}

// settling is how long to wait for things that are about to end. For example, a killed process is
// visible until its parent, which may be another process, has reaped it.
const settling = 5 * time.Second

func takeStock() stock {
	s := stock{fds: map[string]bool{}, procs: map[int]bool{}, gos: map[string]bool{}}
	s.maps = countMaps()
	for _, f := range openFiles() {
		s.fds[f] = true
	}
	for _, pid := range tagged() {
		s.procs[pid] = true
	}
	for _, g := range goroutines() {
		s.gos[number(g)] = true
	}
	return s
}

// whatIsLeft returns what exists now and did not when the stock was taken. It first waits for
// things that are about to end.
func (s stock) whatIsLeft() []string {
	for deadline := time.Now().Add(settling); ; {
		left := s.compare()
		if len(left) == 0 || time.Now().After(deadline) {
			return left
		}
		runtime.GC() // finalizers end some things
		time.Sleep(2 * time.Millisecond)
	}
}

func (s stock) compare() (left []string) {
	for _, pid := range tagged() {
		if !s.procs[pid] {
			left = append(left, "process "+describe(pid))
		}
	}

	for _, f := range openFiles() {
		if !s.fds[f] {
			left = append(left, "descriptor "+f)
		}
	}
	if n := countMaps() - s.maps; n > 0 {
		left = append(left, fmt.Sprintf("%d mapped segments", n))
	}
	for _, g := range goroutines() {
		if !s.gos[number(g)] {
			left = append(left, g)
		}
	}

	return left
}

// number returns the beginning of a goroutine's stack, which contains the number: "goroutine 18 "
// from "goroutine 18 [".
func number(stack string) string {
	head, _, _ := strings.Cut(stack, "[")
	return head
}

// summary counts what is left.
func summary(left []string) string {
	kinds := map[string]int{}
	for _, l := range left {
		kind, _, _ := strings.Cut(l, " ")
		kinds[kind]++
	}
	s := fmt.Sprintf("left over: %d goroutines of mp's, %d processes, %d descriptors", kinds["goroutine"], kinds["process"], kinds["descriptor"])
	if kinds["goroutine"] > 0 {
		s += "; was everything closed?"
	}
	return s
}

// tagged returns all other processes that carry this process's tag, whichever process is their
// parent now.
func tagged() (pids []int) {
	tag := []byte(tagVar + "=" + os.Getenv(tagVar))
	if os.Getenv(tagVar) == "" {
		return nil
	}

	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() {
			continue
		}
		env, err := os.ReadFile(dir + "/environ")
		if err != nil {
			continue
		}
		for v := range bytes.SplitSeq(env, []byte{0}) {
			if bytes.Equal(v, tag) {
				pids = append(pids, pid)
				break
			}
		}
	}

	return pids
}

func describe(pid int) string {
	cmd, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return fmt.Sprintf("%d (%s)", pid, bytes.ReplaceAll(bytes.TrimRight(cmd, "\x00"), []byte{0}, []byte(" ")))
}

// openFiles lists this process's descriptors, except for those that come and go: the poller's, and
// the descriptor with which openFiles reads the directory.
func openFiles() (all []string) {
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, fd := range fds {
		to, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if err != nil || strings.Contains(to, "eventpoll") || strings.Contains(to, "eventfd") || strings.HasSuffix(to, "/fd") {
			continue
		}
		all = append(all, fd.Name()+" "+to)
	}
	return all
}

func countMaps() int {
	b, _ := os.ReadFile("/proc/self/maps")
	return bytes.Count(b, []byte("/memfd:mp-"))
}

// goroutines returns the stacks of goroutines that mp has started.
func goroutines() (left []string) {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	for g := range strings.SplitSeq(string(buf), "\n\n") {
		if strings.Contains(g, "created by github.com/go-multiprocessing/mp") && !strings.Contains(g, "mp_test.") && !strings.Contains(g, "mptest.") {
			left = append(left, g)
		}
	}
	return left
}
