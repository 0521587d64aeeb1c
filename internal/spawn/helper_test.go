//go:build linux

package spawn_test

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/spawn"
	"github.com/go-multiprocessing/mp/mptest"
)

// helperVar makes the test binary play one of the helper processes.
const helperVar = "SPAWN_TEST_HELPER"

func TestMain(m *testing.M) {
	if what := os.Getenv(helperVar); what != "" {
		help(what)
		os.Exit(0)
	}
	mptest.Main(m)
}

// help is the main function of a started process.
func help(what string) {
	what, arg, _ := strings.Cut(what, " ")
	switch what {
	case "exit":
		code, _ := strconv.Atoi(arg)
		os.Exit(code)
	case "signal":
		n, _ := strconv.Atoi(arg)
		signal.Reset() // workers swallow some signals
		_ = syscall.Kill(os.Getpid(), syscall.Signal(n))
		select {}
	case "surroundings":
		dir, _ := os.Getwd()
		_, role := os.LookupEnv("MP_PROCESS_ROLE")
		group := syscall.Getpgrp() == os.Getpid()
		fmt.Println(dir, os.Getenv("SPAWN_TEST_COLOUR"), strings.Join(os.Args[1:], ","), spawn.IsWorker(), role, group)
	case "title":
		line, _ := os.ReadFile("/proc/self/cmdline")
		comm, _ := os.ReadFile("/proc/self/comm")
		_, left := os.LookupEnv("MP_PROCESS_TITLE")
		fmt.Printf("%q %q %q %v\n", line, comm, os.Args, left)
	case "terminal":
		if arg == "session" {
			spawn.NewSession()
		}
		_, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
		shell, _ := exec.Command("sh", "-c", "if read x </dev/tty; then echo read; else echo no terminal; fi").Output()
		session, _ := unix.Getsid(0)
		fmt.Printf("%v, group %v, session %v, %s", err, syscall.Getpgrp() == os.Getpid(), session == os.Getpid(), shell)
	case "above": // the parent of a process that runs another helper
		what, contain, _ := strings.Cut(arg, ",")
		n, _ := strconv.Atoi(contain)
		p, err := spawn.Start(spawn.Spec{Args: []string{"helper"}, Env: environment(what), Stdout: 1, Stderr: 2, Contain: spawn.Containment(n)})
		if err != nil {
			fmt.Println(err)
			return
		}
		<-p.Done()
	case "desert": // leave its own group
		group, err := unix.Getpgid(os.Getppid())
		if err == nil {
			err = unix.Setpgid(0, group)
		}
		fmt.Println(err, syscall.Getpgrp() != os.Getpid())
		select {}
	case "files":
		fmt.Print(strings.Join(files(), "\n"), "\n")
	case "stay":
		signal.Reset()
		fmt.Println("here")
		block()
	case "echo": // copy from descriptor 3 to descriptor 4
		b := make([]byte, 1)
		for {
			if n, _ := syscall.Read(3, b); n != 1 {
				return
			}
			_, _ = syscall.Write(4, b)
		}
	case "family": // start a descendant in the same process group
		c := exec.Command("sleep", "1000")
		if err := c.Start(); err != nil {
			panic(err)
		}
		fmt.Println(c.Process.Pid)
		if arg == "stay" {
			block()
		}
	case "parent":
		if spawn.IsWorker() {
			panic("a parent that is a worker: they would never end")
		}
		parent(arg)
	}
}

// block waits to be killed.
func block() {
	for {
		_ = syscall.Pause()
	}
}

// files lists this process's descriptors and their files, except the descriptor that reads the list
// and the runtime's own.
func files() (all []string) {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	for _, fd := range fds {
		to, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if err == nil && !strings.Contains(to, "anon_inode:[event") && !strings.HasPrefix(to, "/sys/fs/cgroup/") && !strings.HasSuffix(to, "/fd") {
			all = append(all, fd.Name()+" "+to)
		}
	}
	return all
}

// environment returns the environment of a helper. It contains the tag by which mptest finds the
// helper. It contains helperVar only once: if there were two, Go would use the first, which would
// be our own role.
func environment(what string) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, helperVar+"=") })
	// The race detector's runtime would delay every exit by a second.
	return append(env, helperVar+"="+what, "GORACE=atexit_sleep_ms=0")
}
