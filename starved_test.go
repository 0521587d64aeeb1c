//go:build linux

package mp_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/mptest"
)

// A start that lacks a descriptor says so, at whichever step, and leaves no descriptor open.
func TestStartWithoutDescriptors(t *testing.T) {
	mptest.NoLeaks(t)
	for name, cfg := range map[string]mp.ProcessConfig{"group": {}, "subreaper": {RequireContainment: mp.ContainSubreaper}} {
		t.Run(name, func(t *testing.T) {
			warm := startProcess(t, square, 1, cfg) // opens the descriptors that every start needs, such as the poller's
			_, _ = warm.Wait(t.Context())
			var old unix.Rlimit
			if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
				t.Fatal(err)
			}

			before := descriptors(t)
			const most = 1000 // more descriptors than the program has and a start needs
			for free := 3; ; free++ {
				if free > most {
					t.Fatal("it never succeeds")
				}
				if before[free-1] != "" {
					continue // descriptor free-1 is in use, so this limit permits no more than the previous one
				}
				p := newProcess(t, square, 3, cfg)
				setFiles(t, unix.Rlimit{Cur: uint64(free), Max: old.Max})
				err := p.Start()
				var v int
				if err == nil {
					v, err = p.Wait(t.Context())
				}
				setFiles(t, old)
				if err == nil && v == 9 {
					break
				}
				if own := strings.Contains(err.Error(), "bad file descriptor"); own || !errors.Is(err, syscall.EMFILE) && !errors.As(err, new(*mp.WorkerError)) && !errors.As(err, new(*mp.StartError)) {
					t.Errorf("%d descriptors: %v", free, err)
				}
				var after map[int]string
				until(t, fmt.Sprintf("with %d descriptors none is left, after %v", free, err), func() bool { // other goroutines close some of them
					after = descriptors(t)
					for fd, what := range after {
						if before[fd] != what {
							return false
						}
					}
					return true
				})
				maps.Copy(before, after)
			}
		})
	}
}

func setFiles(t *testing.T, l unix.Rlimit) {
	t.Helper()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
}

// descriptors returns the open descriptors of this process and what they refer to.
func descriptors(t *testing.T) map[int]string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	open := map[int]string{}
	for _, e := range entries {
		fd, _ := strconv.Atoi(e.Name())
		if what, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			open[fd] = what
		}
	}
	return open
}
