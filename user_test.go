//go:build linux

package mp_test

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A program that gives up root can still end its workers, and so can a program whose workers give
// up root.
func TestChangeOfUser(t *testing.T) {
	exe := buildForRoot(t)
	for _, of := range []string{"host", "setup"} {
		t.Run(of, func(t *testing.T) {
			if got := run(t, exe, of); got != "" {
				t.Error(got)
			}
		})
	}
}

// A worker that has changed its user ends with its parent, even if neither the worker nor the guard
// can act by then.
func TestDeathSignalAfterChangeOfUser(t *testing.T) {
	exe := buildForRoot(t)
	for _, how := range []string{"orphan", "away"} {
		t.Run(how, func(t *testing.T) { diesWithParent(t, exe, how) })
	}
}

func diesWithParent(t *testing.T, exe, how string) {
	c := exec.Command(exe, how)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}

	workers := pidfds(t, out)
	var stopped []int
	for _, pid := range childrenOf(fmt.Sprint(c.Process.Pid)) {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.PidfdSendSignal(fd, unix.SIGSTOP, nil, 0); err != nil {
			t.Fatal(err)
		}
		stopped = append(stopped, fd)
	}

	if len(stopped) < 2 {
		t.Fatalf("%d workers and guards", len(stopped))
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	for pid, fd := range workers {
		if !endsWithin(fd, 5*time.Second) {
			t.Errorf("worker %d goes on", pid)
		}
		_ = unix.Close(fd)
	}

	for _, fd := range stopped {
		_ = unix.PidfdSendSignal(fd, unix.SIGCONT, nil, 0)
		if !endsWithin(fd, never) {
			t.Error("a process goes on")
		}
		_ = unix.Close(fd)
	}
}

// buildForRoot builds the program that changes its user.
func buildForRoot(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if testing.Short() {
		t.Skip("another program does it, which -race does not reach")
	}
	return build(t, "user")
}
