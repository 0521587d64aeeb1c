package spawn

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/sys"
)

// OpenCgroup checks that groups can be created below dir. If dir is a group of version 2 with a
// memory controller, OpenCgroup enables the controller for the groups below dir.
func OpenCgroup(dir string) (*Cgroup, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}

	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return nil, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}

	g := &Cgroup{dir: dir}
	switch st.Type {
	case unix.CGROUP2_SUPER_MAGIC:
		g.v2 = true
		if has(dir, "cgroup.controllers", "memory") && !has(dir, "cgroup.subtree_control", "memory") {
			_ = g.write("", "cgroup.subtree_control", "+memory")
		}
		g.memory = has(dir, "cgroup.subtree_control", "memory")
	case unix.CGROUP_SUPER_MAGIC:
		_, err := os.Stat(filepath.Join(dir, "memory.limit_in_bytes"))
		g.memory = err == nil
	default:
		return nil, fmt.Errorf("%s is not a control group", dir)
	}
	leaf, err := g.make(0)
	if err != nil {
		return nil, err
	}
	return g, leaf.remove()
}

// has reports whether a file of a group lists a controller.
func has(dir, file, controller string) bool {
	b, _ := os.ReadFile(filepath.Join(dir, file))
	for _, name := range strings.Fields(string(b)) {
		if name == controller {
			return true
		}
	}
	return false
}

func (g *Cgroup) write(leaf, file, value string) error {
	return os.WriteFile(filepath.Join(g.dir, leaf, file), []byte(value), 0)
}

// leafPrefix returns the prefix of the names of all groups that this process creates. The process
// ID alone is not enough: a process in another PID namespace may have the same ID, and that
// process's guard ends all groups with its prefix.
var leafPrefix = sync.OnceValue(func() string { return fmt.Sprintf("mp-%d-%08x-", os.Getpid(), rand.Uint32()) })

// A leaf is the group of one process. It is nil if the process has none.
type leaf struct {
	dir string
	v2  bool
}

// make creates a group with the given memory limit. Zero means no limit.
func (g *Cgroup) make(memory int64) (*leaf, error) {
	for {
		name := leafPrefix() + strconv.FormatInt(g.next.Add(1), 10)
		l := &leaf{filepath.Join(g.dir, name), g.v2}
		err := os.Mkdir(l.dir, 0o755)
		if errors.Is(err, fs.ErrExist) {
			continue
		}

		if err == nil && memory > 0 && g.memory {
			err = l.limit(memory)
		}
		if err != nil {
			_ = os.Remove(l.dir)
			return nil, err
		}
		return l, nil
	}
}

// limit limits the group's memory and disables swap, which would only delay the end of a process
// that exceeds the limit.
func (l *leaf) limit(bytes int64) error {
	n := strconv.FormatInt(bytes, 10)
	if l.v2 {
		_ = l.write("memory.swap.max", "0") // does not exist without swap
		return l.write("memory.max", n)
	}
	if err := l.write("memory.limit_in_bytes", n); err != nil {
		return err
	}
	_ = l.write("memory.memsw.limit_in_bytes", n) // does not exist without swap accounting
	return nil
}

func (l *leaf) write(file, value string) error {
	return os.WriteFile(filepath.Join(l.dir, file), []byte(value), 0)
}

// join moves a process into the group.
func (l *leaf) join(pid int) error {
	if l == nil {
		return nil
	}
	return l.write("cgroup.procs", strconv.Itoa(pid))
}

// outOfMemory reports whether the kernel has killed a process in the group because of the memory
// limit.
func (l *leaf) outOfMemory() bool {
	if l == nil {
		return false
	}
	file := "memory.oom_control"
	if l.v2 {
		file = "memory.events"
	}
	b, _ := os.ReadFile(filepath.Join(l.dir, file))
	for line := range strings.Lines(string(b)) {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
			return strings.TrimSpace(n) != "0"
		}
	}
	return false
}

// clearTime limits how long clear and remove keep trying. Processes that cannot be killed remain.
const clearTime = 2 * time.Second

// clear kills all processes in the group.
func (l *leaf) clear() {
	if l == nil {
		return
	}
	if l.v2 && l.write("cgroup.kill", "1") == nil {
		return
	}

	for end := time.Now().Add(clearTime); time.Now().Before(end); {
		members := l.members()
		if len(members) == 0 {
			return
		}
		// Stop all processes first, so that they cannot start others.
		for _, signal := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
			for _, pid := range members {
				_ = syscall.Kill(pid, signal)
			}
		}
		time.Sleep(time.Millisecond)
	}
}

// dirs returns the directories of the group and of the groups that processes have created in it,
// with outer groups first.
func (l *leaf) dirs() (dirs []string) {
	_ = filepath.WalkDir(l.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	return dirs
}

// members returns the processes in the group that have not ended.
func (l *leaf) members() (pids []int) {
	for _, dir := range l.dirs() {
		b, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		for _, field := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(field); err == nil && pid > 1 && lives(pid) {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// lives reports whether a process exists and is not a zombie. It uses /proc only if pidfd_open is
// refused, because the IDs in /proc may belong to another PID namespace.
func lives(pid int) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH {
		return false
	}
	if err != nil {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		_, rest, _ := strings.Cut(string(stat), ") ")
		return err == nil && !strings.HasPrefix(rest, "Z") || sys.Depth() > 0
	}
	defer unix.Close(fd)
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return n == 0 && err == nil
}

// remove removes the group after the last killed process has left it.
func (l *leaf) remove() error { return l.removeWithin(clearTime) }

func (l *leaf) removeWithin(limit time.Duration) error {
	if l == nil {
		return nil
	}

	pause := time.Millisecond
	for end := time.Now().Add(limit); ; time.Sleep(pause) {
		pause = min(pause+pause/8, 50*time.Millisecond)
		err := os.Remove(l.dir)
		if err != nil {
			for _, dir := range slices.Backward(l.dirs()) {
				err = os.Remove(dir)
			}
		}
		if err == nil || !errors.Is(err, syscall.EBUSY) || time.Now().After(end) {
			return err
		}
	}
}

// leafRemoveTimeout is how long a guard tries to remove a group. It can be long, because no caller
// waits for a guard, and PID 1 may take a while to reap the processes of the group.
const leafRemoveTimeout = time.Minute

// clearLeaves ends all groups whose paths begin with prefix.
func clearLeaves(prefix string) {
	dir, prefix := filepath.Split(prefix)
	entries, _ := os.ReadDir(dir)
	var all []*leaf
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), prefix) {
			l := &leaf{dir: filepath.Join(dir, e.Name())}
			_, err := os.Stat(filepath.Join(l.dir, "cgroup.kill"))
			l.v2 = err == nil
			l.clear()
			all = append(all, l)
		}
	}
	for _, l := range all {
		_ = l.removeWithin(leafRemoveTimeout)
	}
}
