//go:build linux

package mp_test

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp"
)

// toldOfTheReaped reports whether the kernel keeps the exit status of a reaped process.
func toldOfTheReaped(t *testing.T) bool {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	return major > 6 || major == 6 && minor >= 15
}

// Other code that reaps the workers does not hide how they ended.
func TestReapedByOthers(t *testing.T) {
	if !toldOfTheReaped(t) {
		t.Skip("the kernel forgets how a process ended that was reaped")
	}

	for name, f := range map[string]func(t *testing.T){
		"SIGCHLD is ignored": func(t *testing.T) {
			signal.Ignore(syscall.SIGCHLD)
			t.Cleanup(func() { // Reset would leave the signal ignored
				c := make(chan os.Signal, 1)
				signal.Notify(c, syscall.SIGCHLD)
				signal.Stop(c)
			})
		},
		"another reaper": reapAll,
	} {
		t.Run(name, func(t *testing.T) {
			f(t)
			TestProcessEnds(t)
		})
	}
}

// reapAll reaps all children of this program until the test ends, as an init process does.
func reapAll(t *testing.T) {
	var over atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for !over.Load() {
			if _, err := syscall.Wait4(-1, nil, 0, nil); err == syscall.ECHILD {
				time.Sleep(time.Millisecond) // wait for a child
			}
		}
	}()
	t.Cleanup(func() { over.Store(true); <-ended })
}

// A lost status has a reason of its own, unless stderr tells the reason.
func TestLostStatus(t *testing.T) {
	for stderr, want := range map[string]mp.Reason{
		"":                                     mp.ReasonUnknown,
		"the last word":                        mp.ReasonUnknown,
		"fatal error: concurrent map writes\n": mp.ReasonFatal,
		"panic: elsewhere\n\ngoroutine 7 [running]:\n": mp.ReasonFatal,
		"fatal error: runtime: out of memory\n":        mp.ReasonOutOfMemory,
	} {
		err := mp.LostDeath(stderr)
		if err.Reason != want || err.ExitCode != -1 || err.Signal != 0 || strings.Contains(err.Error(), "signal") {
			t.Errorf("%q: got %+v: %v", stderr, err, err)
		}
	}
	if err := mp.LostDeath(""); !strings.HasSuffix(err.Error(), "unknown, its exit status is lost") {
		t.Errorf("got %v", err)
	}
}
