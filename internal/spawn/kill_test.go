//go:build linux

package spawn

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// victim starts a process that leads its group and waits forever.
func victim(t *testing.T) (c *exec.Cmd, pidfd *os.File) { return member(t, 0) }

// member starts a process that waits forever in the given group.
func member(t *testing.T, pgid int) (c *exec.Cmd, pidfd *os.File) {
	t.Helper()
	c = exec.Command("sleep", "1000")
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: pgid}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	// This is a separate file, because package os must not find its own pidfd non-blocking.
	pidfd, err := pollable(-1, c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		_ = pidfd.Close()
	})
	return c, pidfd
}

// A process that other code has reaped must not be confused with a process that has been given the
// same ID. The bystander stands for a process with the same ID.
func TestNumberOfAnother(t *testing.T) {
	dead, pidfd := victim(t)
	_ = dead.Process.Kill()
	_ = dead.Wait()
	for name, kill := range map[string]func(pid int){
		"process":                   func(pid int) { _ = signalTo(pidfd, pid, syscall.SIGKILL) },
		"group":                     func(pid int) { _ = killGroup(pidfd, pid) },
		"group, on an older kernel": func(pid int) { send(pidfd, syscall.SIGKILL, 1<<30, -pid) },
	} {
		bystander, watch := victim(t)
		kill(bystander.Process.Pid)
		// SIGTERM can end the process only if no earlier signal did.
		_ = signalTo(watch, bystander.Process.Pid, syscall.SIGTERM)
		_ = bystander.Wait()
		if ws := bystander.ProcessState.Sys().(syscall.WaitStatus); ws.Signal() != syscall.SIGTERM {
			t.Errorf("%s: the bystander ended with %v", name, ws.Signal())
		}
	}
}

// The group of a process must end with it, even if other code has reaped the process.
func TestGroupOfTheReaped(t *testing.T) {
	leader, pidfd := victim(t)
	raw, err := pidfd.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) { err = unix.PidfdSendSignal(int(fd), 0, nil, unix.PIDFD_SIGNAL_PROCESS_GROUP) })
	if err != nil {
		t.Skip("groups cannot be named by pidfd here: ", err)
	}

	other, _ := member(t, leader.Process.Pid)
	_ = leader.Process.Kill()
	_ = leader.Wait()
	_ = killGroup(pidfd, leader.Process.Pid)
	_ = other.Wait()
	if ws := other.ProcessState.Sys().(syscall.WaitStatus); ws.Signal() != syscall.SIGKILL {
		t.Errorf("it ended with %v", ws.Signal())
	}
}
