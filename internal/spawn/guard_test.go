//go:build linux

package spawn_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/spawn"
	"github.com/go-multiprocessing/mp/mptest"
)

// children returns the processes that this process has started, including zombies.
func children() (pids []string) {
	tasks, _ := filepath.Glob("/proc/self/task/*/children")
	for _, f := range tasks {
		b, _ := os.ReadFile(f) // the thread may end in the meantime
		pids = append(pids, strings.Fields(string(b))...)
	}
	return pids
}

func guards() (pids []string) {
	for _, pid := range children() {
		if cmd, _ := os.ReadFile("/proc/" + pid + "/cmdline"); string(cmd) == "mp: guard\x00" {
			pids = append(pids, pid)
		}
	}
	return pids
}

// parent is a program that has a worker with a descendant. It prints the IDs of the two and of its
// guard, and waits to be killed.
func parent(how string) {
	if strings.HasPrefix(how, "without pidfd_open") {
		refusePidfdOpen()
	}
	worker, descendant := familyUnderGuard()
	<-worker.Guarded()
	if how == "at once" { // the guard may not be running yet
		fmt.Println(worker.PID, descendant, "none")
		block()
	}

	guard := awaitGuard("")
	if how == "restarted" {
		for range 3 {
			old := guard
			killByPidfd(old)
			guard = awaitGuard(old)
		}
	}
	if strings.HasSuffix(how, "socket kept") {
		keepSockets()
	}
	fmt.Println(worker.PID, descendant, guard)
	block()
}

// keepSockets starts a program that has this process's sockets and ends when its input ends. While
// that program runs, the sockets do not tell the guard that this process is dead.
func keepSockets() {
	c := exec.Command("cat")
	c.Stdin = os.Stdin
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}

	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(to, "socket:") {
			n, _ := strconv.Atoi(fd.Name())
			n, err = syscall.Dup(n)
			if err != nil {
				panic(err)
			}
			c.ExtraFiles = append(c.ExtraFiles, os.NewFile(uintptr(n), to))
		}
	}
	if len(c.ExtraFiles) == 0 {
		panic("there is no socket")
	}
	if err := c.Start(); err != nil {
		panic(err)
	}
}

func familyUnderGuard() (worker *spawn.Process, descendant string) {
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	worker, err = spawn.Start(spawn.Spec{Args: []string{"helper"}, Env: environment("family stay"), Stdout: int(w.Fd()), Stderr: 2})
	if err != nil {
		panic(err)
	}
	if _, err := fmt.Fscan(r, &descendant); err != nil {
		panic(err)
	}
	return worker, descendant
}

// awaitGuard waits until a guard other than old is running and has been sent all groups. At that
// point, the goroutine that keeps the guard waits for the guard's end.
func awaitGuard(old string) string {
	buf := make([]byte, 1<<20)
	for deadline := time.Now().Add(never); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		now := guards()
		if len(now) != 1 || now[0] == old {
			continue
		}
		for g := range bytes.SplitSeq(buf[:runtime.Stack(buf, true)], []byte("\n\n")) {
			if bytes.Contains(g, []byte("sys.AwaitDeath(")) && bytes.Contains(g, []byte("spawn.(*guardian).run(")) {
				return now[0]
			}
		}
	}
	panic("no guard")
}

// killByPidfd kills a child that has not been reaped.
func killByPidfd(pid string) {
	var n int
	_, _ = fmt.Sscan(pid, &n)
	fd, err := unix.PidfdOpen(n, 0)
	if err != nil {
		panic(err)
	}
	_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	_ = unix.Close(fd)
}

// A worker must die when its parent is killed. If the worker is guarded, all processes in its
// process group must die, too, and then the guard must end. A guard that is killed must be replaced
// without losing track of any process.
func TestParentIsKilled(t *testing.T) {
	mptest.NoLeaks(t)
	for _, how := range []string{"guarded", "restarted", "at once", "without pidfd_open", "socket kept", "without pidfd_open, socket kept"} {
		t.Run(how, func(t *testing.T) {
			c := exec.Command(os.Args[0])
			c.Env, c.Stderr = environment("parent "+how), os.Stderr
			in, end, err := os.Pipe() // not with StdinPipe, because Wait closes its pipe
			if err != nil {
				t.Fatal(err)
			}
			defer end.Close()

			defer in.Close()
			c.Stdin = in
			out, err := c.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err = c.Start(); err != nil {
				t.Fatal(err)
			}

			var worker, descendant, guard string
			_, err = fmt.Fscan(out, &worker, &descendant, &guard)
			if err != nil {
				_ = c.Process.Kill()
				_ = c.Wait()
				t.Fatal(err)
			}
			leader, other := pidfd(t, worker), pidfd(t, descendant)
			watcher := gone
			if guard != "none" {
				watcher = pidfd(t, guard)
			}

			_ = c.Process.Kill()
			_ = c.Wait()
			if !endsSoon(leader) {
				t.Error("the worker goes on")
			}
			if !endsSoon(other) {
				t.Error("the worker's descendant goes on")
			}
			if !endsSoon(watcher) {
				t.Error("the guard goes on")
			}
		})
	}
}

// The guard must exist while a worker is guarded. If it is killed, it must be replaced. It must end
// with the last worker, without killing any process.
func TestGuardComesAndGoes(t *testing.T) {
	mptest.NoLeaks(t)
	for range 3 {
		in, w := pipe(t)
		r, answer := pipe(t)
		p, _ := start(t, "echo", func(s *spawn.Spec) { s.Files = []int{int(in.Fd()), int(answer.Fd())} })
		_ = in.Close()
		<-p.Guarded()
		guard := awaitGuard("")
		killByPidfd(guard)
		awaitGuard(guard)
		echo(t, w, r)
		_ = w.Close()
		if got := ended(t, p); got != (spawn.Status{}) {
			t.Errorf("the worker: %v", got)
		}

		if got := children(); len(got) != 0 {
			t.Errorf("children %v", got)
		}
	}
}

// A stopped guard must delay neither the start nor the end of a process.
func TestGuardIsStopped(t *testing.T) {
	mptest.NoLeaks(t)
	p, out := start(t, "stay")
	line(t, out)
	<-p.Guarded()
	guard := pidfd(t, awaitGuard(""))
	if err := unix.PidfdSendSignal(guard, unix.SIGSTOP, nil, 0); err != nil {
		t.Fatal(err)
	}

	p.Kill()
	select {
	case <-p.Done():
	case <-time.After(5 * time.Second):
		t.Error("the end of a worker waits for the guard")
		_ = unix.PidfdSendSignal(guard, unix.SIGCONT, nil, 0)
	}
	if got := ended(t, p); got.Signal != syscall.SIGKILL {
		t.Errorf("got %v", got)
	}
}

// A signal to all processes with the program's name must not reach the program's guard or a keeper,
// so the names of guards and keepers must not contain the program's name.
func TestNamesOfGuardAndKeeper(t *testing.T) {
	eachContainment(t, func(t *testing.T, contain option) {
		mptest.NoLeaks(t)
		program := filepath.Base(os.Args[0])
		p, out := start(t, "stay", contain, func(s *spawn.Spec) { s.Args, s.Title = []string{os.Args[0], "an argument"}, "worker-1" })
		line(t, out)
		<-p.Guarded()
		want := "mp: keeper"
		var s spawn.Spec
		contain(&s)
		var pid string
		if s.Contain == spawn.Group {
			want, pid = "mp: guard", awaitGuard("")
		} else {
			pid = fmt.Sprint(keeperOf(t, p))
		}

		until(t, "it has its name", func() bool {
			comm, _ := os.ReadFile("/proc/" + pid + "/comm")
			return string(comm) == want+"\n"
		})
		cmd, err := os.ReadFile("/proc/" + pid + "/cmdline")
		if err != nil {
			t.Fatal(err)
		}

		if first, _, _ := strings.Cut(string(cmd), "\x00"); !strings.HasPrefix(first, want) || strings.Contains(first, program) {
			t.Errorf("its command line begins with %q", first)
		}
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.PID))
		if err != nil || !strings.HasPrefix(program+"\n", strings.TrimSpace(string(comm))) {
			t.Errorf("the worker is called %q: %v", comm, err)
		}
	})
}

// A start must get a guard at once, however long the pause before the next guard is.
func TestStartDoesNotWaitForTheGuardsPause(t *testing.T) {
	mptest.NoLeaks(t)
	defer spawn.SetRetryGuard(time.Hour)()
	first, out := start(t, "stay")
	line(t, out)
	<-first.Guarded()
	guard := awaitGuard("")
	for range 3 {
		killByPidfd(guard)
		until(t, "it has been buried", func() bool { return !slices.Contains(children(), guard) })
		p, out := start(t, "stay")
		line(t, out)
		select {
		case <-p.Guarded():
		case <-time.After(never):
			t.Fatal("the start waits for the end of the pause")
		}

		guard = awaitGuard(guard)
	}
}

// After a guard that has lived for a long time, the pause must be short again.
func TestPauseOfGuards(t *testing.T) {
	for _, c := range []struct{ before, life, want time.Duration }{
		{0, 0, 20 * time.Millisecond},
		{20 * time.Millisecond, time.Millisecond, 40 * time.Millisecond},
		{4 * time.Second, time.Millisecond, 5 * time.Second},
		{5 * time.Second, time.Second, 20 * time.Millisecond},
	} {
		if got := spawn.NextPause(c.before, c.life); got != c.want {
			t.Errorf("after %v and a life of %v: %v, not %v", c.before, c.life, got, c.want)
		}
	}
}
