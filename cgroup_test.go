//go:build linux

package mp_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/mptest"
)

// The control groups of workers with keepers are removed when the program is killed. The cleanup of
// delegate checks that.
func TestControlGroupsOfTheKept(t *testing.T) {
	exe := build(t, "contain")
	eachContainment(t, func(t *testing.T, contained mp.Containment) {
		for version, parent := range cgroups(t) {
			for _, how := range []string{"close", "SIGKILL"} {
				t.Run(version+"/"+how, func(t *testing.T) {
					mptest.NoLeaks(t)
					group, fd := delegate(t, parent, os.Getuid(), version)
					containIn(t, exe, contained, how, group, fd)
				})
			}
		}
	})
}

// containIn is contain with a control group, from which no process escapes.
func containIn(t *testing.T, exe string, contained mp.Containment, how, group string, fd int) {
	if contained == mp.ContainGroup {
		contained = mp.ContainCgroup
	}
	contain(t, exe, os.Getuid(), contained, how, group, fd)
}

// moveDown creates a group inside the worker's group and starts a daemon in it. The worker's group
// must be the only one inside the given group.
var moveDown = mp.Register("moveDown", func(_ context.Context, group string) (string, error) {
	own, err := filepath.Glob(filepath.Join(group, "mp-*"))
	if err != nil || len(own) != 1 {
		return "", errors.Join(errors.New("not one group"), err)
	}
	sub := filepath.Join(own[0], "sub")
	if err := os.Mkdir(sub, 0o755); err != nil {
		return "", err
	}
	c := exec.Command("sleep", "1000")
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := c.Start(); err != nil {
		return "", err
	}
	return sub, os.WriteFile(filepath.Join(sub, "cgroup.procs"), []byte(strconv.Itoa(c.Process.Pid)), 0)
})

// Groups that a task creates inside its worker's group are killed and removed with that group.
func TestControlGroupsMadeByTasks(t *testing.T) {
	for version, parent := range cgroups(t) {
		t.Run(version, func(t *testing.T) {
			group, _ := delegate(t, parent, os.Getuid(), version)
			mark := markOf(t)
			pool := newPool(t, mp.PoolConfig{Workers: 1, Limits: mp.Limits{Cgroup: group}, Env: []string{mark}})
			sub, err := mp.Call(t.Context(), pool, moveDown, group)
			if err != nil {
				t.Fatal(err)
			}

			if err := pool.Close(); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Dir(sub)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the worker's group: %v", err)
			}
			for pid := range sleepers(mark) {
				t.Errorf("process %d is left", pid)
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}

			_ = os.Remove(sub)
			_ = os.Remove(filepath.Dir(sub))
		})
	}
}
