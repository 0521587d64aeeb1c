package main

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
)

// Peers that need a second process start this program again, in a role.

const (
	roleKey    = "MP_BENCH_ROLE"
	lifelineFD = 3
	roleFD     = 4 // the first file of a role
)

// playRole plays the role that is named in the environment, and does not return. If no role is
// named, playRole does nothing.
func playRole() {
	roles := map[string]func() error{
		pluginRole:   servePlugin,
		flipcallRole: serveFlipcall,
	}
	serve := roles[os.Getenv(roleKey)]
	if serve == nil {
		return
	}
	go endWithParent()
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", os.Getenv(roleKey), err)
		os.Exit(1)
	}
	os.Exit(0)
}

// endWithParent waits until the lifeline is closed. No process ever writes to the lifeline.
func endWithParent() {
	var b [1]byte
	_, _ = os.NewFile(lifelineFD, "lifeline").Read(b[:])
	os.Exit(0)
}

// lifeline is a pipe. Only this process has its writing end.
var lifeline = sync.OnceValues(func() ([2]*os.File, error) {
	r, w, err := os.Pipe()
	return [2]*os.File{r, w}, err
})

// roleCommand returns a command that starts this program in a role, with files from roleFD on.
func roleCommand(role string, files ...*os.File) (*exec.Cmd, error) {
	line, err := lifeline()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleKey+"="+role)
	cmd.ExtraFiles = append([]*os.File{line[0]}, files...)
	return cmd, nil
}
