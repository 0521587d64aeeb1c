//go:build linux

package mp_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/mptest"
)

const nobody = 65534

// B14: processes that tasks leave behind die with the worker, the pool and this program, as far as
// the containment promises. That holds for root and for a user who may not write anywhere.
func TestContainment(t *testing.T) {
	dir := publicDir(t)
	exe := filepath.Join(dir, "contain")
	if b, err := os.ReadFile(build(t, "contain")); err != nil {
		t.Fatal(err)
	} else if err := os.WriteFile(exe, b, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}

	uids := []int{os.Getuid()}
	if uids[0] == 0 {
		uids = append(uids, nobody)
	}

	for _, uid := range uids {
		for _, containment := range []mp.Containment{"", mp.ContainGroup, mp.ContainSubreaper, mp.ContainNamespace, mp.ContainCgroup} {
			for _, how := range []string{"worker", "close", "SIGKILL"} {
				t.Run(fmt.Sprintf("%d/%s/%s", uid, containment, how), func(t *testing.T) {
					mptest.NoLeaks(t)
					if containment != mp.ContainCgroup {
						contain(t, exe, uid, containment, how, "", -1)
						return
					}
					for version, parent := range cgroups(t) {
						t.Run(version, func(t *testing.T) {
							group, fd := delegate(t, parent, uid, version)
							contain(t, exe, uid, containment, how, group, fd)
							if left, err := filepath.Glob(filepath.Join(group, "mp-*")); how == "close" && len(left) > 0 || err != nil {
								t.Errorf("left: %v, %v", left, err)
							}
						})
					}
				})
			}
		}
	}
}

// publicDir creates a directory that every user can reach.
func publicDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "mp-public")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o755); _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// contain runs the program contain and checks which processes of its task survive.
func contain(t *testing.T, exe string, uid int, containment mp.Containment, how, cgroup string, cgroupFD int) {
	mark := markOf(t)
	c := exec.Command(exe, string(containment), how, cgroup)
	c.Dir, c.Env = filepath.Dir(exe), append(os.Environ(), mark, "TMPDIR=/nowhere", "HOME=/nowhere")
	c.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: cgroupFD >= 0, CgroupFD: cgroupFD}
	if uid != os.Getuid() {
		c.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
	}

	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_, _ = io.Copy(io.Discard, out)
		_ = c.Wait()
		for pid := range sleepers(mark) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})

	words := bufio.NewScanner(out)
	next := func() string { words.Scan(); return words.Text() }
	if word := next(); word != "bred" {
		if containment == mp.ContainNamespace && uid != 0 && strings.Contains(word, "not permitted") {
			t.Skip("this system lets nobody but root make namespaces: ", word)
		}
		t.Fatal(word)
	}

	until(t, "all that the task has started", func() bool { return len(sleepers(mark)) == 5 })
	if how == "SIGKILL" {
		_ = c.Process.Kill()
	} else {
		_, _ = io.WriteString(in, "\n")
		if word := next(); word != "ended" {
			t.Fatal(word)
		}
	}

	want := []string{}
	if containment == "" || containment == mp.ContainGroup {
		want = []string{"1003", "1004", "1005"}
	}
	until(t, fmt.Sprintf("only %v are left, not %v", want, sleepers(mark)), func() bool {
		var left []string
		for _, which := range sleepers(mark) {
			left = append(left, which)
		}
		slices.Sort(left)
		return slices.Equal(left, want)
	})
}

// markOf returns an environment variable that marks the processes that a test starts. It is unique
// to the test and this run.
func markOf(t *testing.T) string {
	return fmt.Sprintf("MP_CONTAIN_MARK=%d %s", os.Getpid(), t.Name())
}

// sleepers returns the running sleep commands with the mark in their environment, and their
// arguments.
func sleepers(mark string) map[int]string {
	found := map[int]string{}
	for pid := range marked(mark) {
		args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if bytes.HasPrefix(args, []byte("sleep\x00")) {
			found[pid] = strings.Trim(string(args[6:]), "\x00")
		}
	}
	return found
}

// marked returns the processes with the mark in their environment, and their environments. Zombies
// have none.
func marked(mark string) map[int]string {
	found := map[int]string{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		env, _ := os.ReadFile(dir + "/environ")
		if bytes.Contains(env, []byte(mark+"\x00")) {
			pid, _ := strconv.Atoi(filepath.Base(dir))
			found[pid] = string(env)
		}
	}
	return found
}

// cgroups returns the groups of this process in which it can create others, by version. It skips
// the test if there are none.
func cgroups(t *testing.T) map[string]string {
	found := map[string]string{}
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Skip(err)
	}

	for line := range strings.Lines(string(b)) {
		id, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, path, _ := strings.Cut(rest, ":")
		switch {
		case id == "0":
			for _, mount := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
				if usable(mount+path, unix.CGROUP2_SUPER_MAGIC) {
					found["v2"] = mount + path
					break
				}
			}
		case controllers == "memory":
			if dir := "/sys/fs/cgroup/memory" + path; usable(dir, unix.CGROUP_SUPER_MAGIC) {
				found["v1"] = dir
			}
		}
	}

	if len(found) == 0 {
		t.Skip("no control group in which others can be made")
	}
	return found
}

func usable(dir string, magic int64) bool {
	var st unix.Statfs_t
	probe := filepath.Join(dir, fmt.Sprint("mp-test-probe-", os.Getpid()))
	return unix.Statfs(dir, &st) == nil && st.Type == magic && os.Mkdir(probe, 0o755) == nil && os.Remove(probe) == nil
}

// delegate creates a group in parent that belongs to uid, and removes it when the test has ended.
// The group must be empty then, or become empty soon. For version 2 it also opens a group for the
// program itself, which must be there to be able to move its workers.
func delegate(t *testing.T, parent string, uid int, version string) (group string, fd int) {
	group, err := os.MkdirTemp(parent, "mp-test-")
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(group, "own")
	t.Cleanup(func() {
		for _, dir := range []string{own, group} {
			until(t, "the group "+dir+" is empty", func() bool {
				err := os.Remove(dir)
				return err == nil || errors.Is(err, os.ErrNotExist)
			})
		}
	})

	fd = -1
	if version == "v2" {
		if err := os.Mkdir(own, 0o755); err != nil {
			t.Fatal(err)
		}
		if fd, err = unix.Open(own, unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
	}

	for _, dir := range []string{group, own} {
		for _, file := range []string{"", "cgroup.procs", "cgroup.subtree_control"} {
			if err := os.Chown(filepath.Join(dir, file), uid, -1); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
	}

	return group, fd
}
