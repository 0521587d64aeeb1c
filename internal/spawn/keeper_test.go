//go:build linux

package spawn_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/go-multiprocessing/mp/internal/spawn"
	"github.com/go-multiprocessing/mp/mptest"
)

// keeperOf returns the ID of the parent of a process that has a keeper.
func keeperOf(t *testing.T, p *spawn.Process) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
	if err != nil {
		t.Fatal(err)
	}
	var state string
	var ppid int
	if _, err := fmt.Sscan(string(b[strings.LastIndexByte(string(b), ')')+1:]), &state, &ppid); err != nil {
		t.Fatal(err)
	}
	if ppid == os.Getpid() || ppid <= 1 {
		t.Fatalf("process %d has no keeper but %d", p.PID, ppid)
	}
	return ppid
}

// eachKept calls f with a process under each containment that has a keeper.
func eachKept(t *testing.T, f func(t *testing.T, p *spawn.Process)) {
	eachContainment(t, func(t *testing.T, contain option) {
		var s spawn.Spec
		if contain(&s); s.Contain == spawn.Group {
			return // there is no keeper
		}
		mptest.NoLeaks(t)
		p, out := start(t, "family stay", contain)
		line(t, out)
		f(t, p)
	})
}

// If a keeper is killed, the process that it keeps must die, too. A stopped keeper must not keep
// its process alive.
func TestKeeperInTrouble(t *testing.T) {
	for name, harm := range map[string]func(p *spawn.Process, keeper int) error{
		"killed": func(_ *spawn.Process, keeper int) error { return syscall.Kill(keeper, syscall.SIGKILL) },
		"stopped": func(p *spawn.Process, keeper int) error {
			defer p.Kill()
			return syscall.Kill(keeper, syscall.SIGSTOP)
		},
		"terminated": func(_ *spawn.Process, keeper int) error { return syscall.Kill(keeper, syscall.SIGTERM) },
	} {
		t.Run(name, func(t *testing.T) {
			eachKept(t, func(t *testing.T, p *spawn.Process) {
				if err := harm(p, keeperOf(t, p)); err != nil {
					t.Fatal(err)
				}
				if got := ended(t, p); got.Signal != syscall.SIGKILL {
					t.Errorf("it ended with %v", got)
				}
			})
		})
	}
}

// A signal must reach the process and not its keeper.
func TestSignalPastKeeper(t *testing.T) {
	eachContainment(t, func(t *testing.T, contain option) {
		mptest.NoLeaks(t)
		p, out := start(t, "stay", contain)
		line(t, out)
		p.Signal(syscall.SIGTERM)
		if got := ended(t, p); got.Signal != syscall.SIGTERM {
			t.Errorf("it ended with %v", got)
		}
	})
}

// A process that has a keeper must end with a known status even if this process is no longer
// allowed to kill it.
func TestKillOfKeeperRefused(t *testing.T) {
	eachKept(t, func(t *testing.T, p *spawn.Process) {
		if err := syscall.Kill(p.PID, syscall.SIGSTOP); err != nil { // handles no signals now
			t.Fatal(err)
		}
		p.Refused()
		if got := ended(t, p); got.Signal != syscall.SIGKILL || got.Stuck {
			t.Errorf("it ended with %v", got)
		}
	})
}
