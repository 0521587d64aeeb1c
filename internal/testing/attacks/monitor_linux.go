package attacks

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/race"
)

// usage describes the resources that a process uses.
type usage struct {
	memory      int // MiB, the peak so far
	heap        int // MiB that Go has requested from the system, used or not
	descriptors int
	goroutines  int
	threads     int
}

// status returns a number from /proc/PID/status.
func status(pid, name string) int {
	b, _ := os.ReadFile("/proc/" + pid + "/status")
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			n, _ := strconv.Atoi(strings.Fields(rest)[0])
			return n
		}
	}
	return 0
}

// used returns this process's usage.
func used() usage {
	fds, _ := os.ReadDir("/proc/self/fd")
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return usage{
		memory: status("self", "VmHWM") >> 10, heap: int(mem.HeapSys >> 20),
		descriptors: len(fds), goroutines: runtime.NumGoroutine(), threads: status("self", "Threads"),
	}
}

// forgetPeak resets VmHWM to the memory in use.
func forgetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

// A monitor watches what this process uses. It ends the process if the usage is far too high,
// because the machine is shared.
type monitor struct {
	base usage
	mu   sync.Mutex
	most usage
	many string // where goroutines were started, if there were too many
	stop chan struct{}
	done chan struct{}
}

// every is the time between two measurements.
const every = 25 * time.Millisecond

// tooMuch is by how many MiB memory may exceed its bound before the monitor ends the program.
const tooMuch = 768

func watch(w *world) *monitor {
	forgetPeak()
	m := &monitor{base: used(), stop: make(chan struct{}), done: make(chan struct{})}
	w.before = m.base
	go func() {
		defer close(m.done)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for n := 1; ; n++ {
			if n%(int(time.Second/every)) == 0 {
				runtime.GC() // the cleanup of each unused connection then starts a goroutine
			}
			m.sample()
			if m.many == "" && m.most.goroutines > m.base.goroutines+w.bounds.Goroutines {
				m.many = origins()
			}
			if m.most.memory > m.base.memory+w.bounds.Memory+tooMuch {
				panic(fmt.Sprintf("%d MiB of memory, with a bound of %d", m.most.memory, m.base.memory+w.bounds.Memory))
			}

			select {
			case <-ticker.C:
			case <-m.stop:
				return
			}
		}
	}()

	return m
}

func (m *monitor) sample() {
	u := used()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.most = usage{
		max(m.most.memory, u.memory), max(m.most.heap, u.heap), max(m.most.descriptors, u.descriptors),
		max(m.most.goroutines, u.goroutines), max(m.most.threads, u.threads),
	}
}

// end reports which bounds of the row were exceeded.
func (m *monitor) end(w *world) {
	close(m.stop)
	<-m.done
	m.sample()
	for _, b := range []struct {
		what            string
		base, got, most int
	}{
		{"MiB of memory", m.base.memory, m.most.memory, w.bounds.Memory * raceFactor},
		{"MiB of heap asked for", m.base.heap, m.most.heap, 2 * w.bounds.Memory * raceFactor},
		{"descriptors", m.base.descriptors, m.most.descriptors, w.bounds.Descriptors},
		{"goroutines", m.base.goroutines, m.most.goroutines, w.bounds.Goroutines},
		{"threads", m.base.threads, m.most.threads, w.bounds.Threads},
	} {
		if b.got > b.base+b.most {
			w.fault("%d %s, with %d before and a bound of +%d", b.got, b.what, b.base, b.most)
		}
	}

	if m.many != "" {
		w.fault("too many goroutines: %s", m.many)
	}
}

// origins counts the goroutines by the places where they were started. It lists the most frequent
// places first.
func origins() string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	counts := map[string]int{}
	for line := range strings.Lines(string(buf)) {
		if by, ok := strings.CutPrefix(line, "created by "); ok {
			by, _, _ = strings.Cut(by, " in goroutine")
			counts[by[strings.LastIndexByte(by, '/')+1:]]++
		}
	}
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int { return counts[b] - counts[a] })
	var out []string
	for _, n := range names[:min(len(names), 4)] {
		out = append(out, fmt.Sprintf("%d of %s", counts[n], strings.TrimSpace(n)))
	}
	return strings.Join(out, ", ")
}

// limitFiles limits the descriptors of this process to Files, whatever the system allows.
func limitFiles() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = min(limit.Max, Files)
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
}

// processorTime returns the processor time that this process and its awaited children have used.
func processorTime() (d time.Duration) {
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var u unix.Rusage
		if err := unix.Getrusage(who, &u); err == nil {
			d += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	return d
}

// raceFactor is how many times as much memory a program needs under the race detector, if that is
// enabled.
var raceFactor = func() int {
	if race.Enabled {
		return 10
	}
	return 1
}()
