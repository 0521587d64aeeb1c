//go:build linux

package mp_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/pty"
)

// build builds a program of testdata and returns its path.
func build(t *testing.T, program string, tags ...string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mp-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	exe := filepath.Join(dir, program)
	c := exec.Command("go", "build", "-o", exe, "-tags", strings.Join(tags, ","), "./testdata/"+program)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return exe
}

// run runs a program and returns its output, with its standard error if it fails.
func run(t *testing.T, exe string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), never)
	defer cancel()
	c := exec.CommandContext(ctx, exe, args...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		return string(out) + err.Error() + "\n" + stderr.String()
	}
	return string(out)
}

func TestForgotInit(t *testing.T) {
	if got := run(t, build(t, "forgot")); got != "true false\nchildren: \"\"\n" {
		t.Errorf("got %s", got)
	}
}

func TestUnusableRegistrations(t *testing.T) {
	for _, c := range []struct{ program, arg, want string }{
		{"badtype", "", "main.bad cannot be called in another process: argument: main.arg.Inner[].Callback is a func"},
		{"late", "late", "mp: Register(f) after mp.Init"},
		{"late", "late action", "mp: RegisterAction(f) after mp.Init"},
		{"late", "twice", `mp: Register: the function "main.f" is registered twice`},
		{"late", "twice action", `mp: RegisterAction: the function "main.f" is registered twice`},
		{"late", "unnamed", `mp: Register: "" is no name`},
		{"late", "unnamed action", `mp: RegisterAction: "a\nb" is no name`},
		{"late", "nil", `mp: Register("f"): the function is nil`},
		{"late", "nil action", `mp: RegisterAction("f"): the function is nil`},
	} {
		if got := run(t, build(t, c.program), c.arg); !strings.Contains(got, c.want) {
			t.Errorf("%s %s: got %s", c.program, c.arg, got)
		}
	}
}

func TestExecutable(t *testing.T) {
	parent := build(t, "parent")
	for _, c := range []struct {
		name, worker string
		want         []string
	}{
		{"same", build(t, "worker"), []string{"double: 42 <nil>\n", "extra: 21 <nil>\n", "own: 0 mp: main.own is registered in package main"}},
		{"lacks one", build(t, "worker", "noextra"), []string{"double: 42 <nil>\n", "extra: 0 mp: the worker binary", "lacks the function"}},
		{"other types", build(t, "worker", "othershape"), []string{"pool: mp: worker", "shared.shaped", "another argument or result type"}},
		{"no worker", build(t, "silent"), []string{"pool: mp: worker", "exit code 5", "mp.Init", "who am I?"}},
		{"no file", "/no/such/file", []string{"pool: mp: worker", "no such file"}},
	} {
		got := run(t, parent, c.worker)
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in:\n%s", c.name, want, got)
			}
		}
	}
}

// A program that shares nothing links nothing of package ipc.
func TestPoolWithoutIPC(t *testing.T) {
	const ipc = "github.com/go-multiprocessing/mp/ipc."
	for program, want := range map[string]bool{"parent": false, "worker": false, "typeworker": true} {
		text, err := os.ReadFile(build(t, program))
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(text, []byte(ipc)); got != want {
			t.Errorf("the program %s contains %q: %v", program, ipc, got)
		}
	}
}

// Objects of every number type arrive in an interface, unregistered, in a worker that constructs
// none of them.
func TestNumbersInInterfaces(t *testing.T) {
	got := run(t, build(t, "types"), build(t, "typeworker"))
	var want strings.Builder
	for _, number := range strings.Fields("int int8 int16 int32 int64 uint uint8 uint16 uint32 uint64 float32 float64") {
		for _, object := range strings.Fields("Array Value Atomic Slab") {
			fmt.Fprintf(&want, "*ipc.%s[%s] <nil>\n", object, number)
		}
	}
	if got != want.String() {
		t.Errorf("got %s\nwant %s", got, want.String())
	}
}

// However the parent ends, its workers end too, and so do the processes that they started in their
// process groups.
func TestOrphans(t *testing.T) {
	exe := build(t, "orphan")
	for _, how := range []string{"return", "exit", "panic", "SIGKILL", "SIGTERM to the group", "Ctrl-C"} {
		t.Run(how, func(t *testing.T) {
			arg := how
			if strings.HasPrefix(how, "SIG") || how == "Ctrl-C" {
				arg = "wait"
			}

			c := exec.Command(exe, arg)
			c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			var keyboard *os.File
			var out io.Reader
			if how == "Ctrl-C" {
				// The children would ignore SIGINT if they were a shell's background job.
				caught := make(chan os.Signal, 1)
				signal.Notify(caught, os.Interrupt)
				defer signal.Stop(caught)
				keyboard = onTerminal(t, c)
				out = keyboard
			} else {
				var err error
				if out, err = c.StdoutPipe(); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}

			fds := pidfds(t, out)
			if len(fds) < 4 {
				t.Fatalf("%d workers and children", len(fds))
			}

			switch how {
			case "SIGKILL":
				_ = c.Process.Kill()
			case "SIGTERM to the group":
				_ = syscall.Kill(-c.Process.Pid, syscall.SIGTERM)
			case "Ctrl-C":
				_, _ = keyboard.Write([]byte{3})
			}

			_ = c.Wait()
			if ws := c.ProcessState.Sys().(syscall.WaitStatus); how == "Ctrl-C" && ws.Signal() != syscall.SIGINT {
				t.Errorf("the program ended with %v", c.ProcessState)
			}
			for pid, fd := range fds {
				if !endsWithin(fd, time.Second*5) {
					t.Errorf("process %d goes on", pid)
				}
				_ = unix.Close(fd)
			}
		})
	}
}

// onTerminal makes a command the foreground job of its own terminal, as a shell does. It returns
// the other side of the terminal: keyboard and screen.
func onTerminal(t *testing.T, c *exec.Cmd) *os.File {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Skip("no terminals here: ", err)
	}
	t.Cleanup(func() { _, _ = master.Close(), slave.Close() })
	c.Stdin, c.Stdout, c.Stderr = slave, slave, slave
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	return master
}

// pidfds reads process IDs until the line "ready" and opens the processes.
func pidfds(t *testing.T, out interface{ Read([]byte) (int, error) }) map[int]int {
	fds := map[int]int{}
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "ready" {
		var pids [2]int
		if _, err := fmt.Sscan(lines.Text(), &pids[0], &pids[1]); err != nil {
			t.Fatal(err)
		}

		for _, pid := range pids {
			if _, known := fds[pid]; known {
				continue
			}
			fd, err := unix.PidfdOpen(pid, 0)
			if err == unix.ESRCH {
				continue // the process has ended
			}
			if err != nil {
				t.Fatal(err)
			}
			fds[pid] = fd
		}
	}

	return fds
}

func endsWithin(pidfd int, d time.Duration) bool {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, int(d.Milliseconds()))
		if err != unix.EINTR {
			return n == 1
		}
	}
}
