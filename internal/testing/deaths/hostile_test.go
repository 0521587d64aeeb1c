//go:build linux

package deaths_test

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/testing/deaths"
)

// These deaths damage the descriptors and the memory of the task's worker.
func init() {
	deaths.Provide(map[string]deaths.Death{
		"leaves children that hold its descriptors, and exits": plain(func() error {
			if err := leaveChildren(); err != nil {
				return err
			}
			os.Exit(3)
			return nil
		}),
		"leaves children that hold its descriptors, and is killed": plain(func() error {
			if err := leaveChildren(); err != nil {
				return err
			}
			return kill(syscall.SIGKILL)
		}),
		"closes its descriptors from 3 on": plain(func() error { return closeFrom(3) }),
		"closes all its descriptors":       plain(func() error { return closeFrom(0) }),
		"writes noise to its socket": plain(func() error {
			if _, err := syscall.Write(link.FirstFD, noise(4096)); err != nil {
				return err
			}
			select {}
		}),
		"writes noise over the memory that it shares with its parent": plain(func() error {
			if err := scribble(noise); err != nil {
				return err
			}
			// The parent may sleep.
			if _, err := syscall.Write(link.FirstFD+3, []byte{1}); err != nil {
				return err
			}
			select {}
		}),
		"writes zeros over the memory that it shares with its parent, and is killed": plain(func() error {
			if err := scribble(func(n int) []byte { return make([]byte, n) }); err != nil {
				return err
			}
			return kill(syscall.SIGKILL)
		}),
	})
}

// leaveChildren starts processes that inherit all of this one's descriptors.
func leaveChildren() error {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, fd := range fds {
		n, err := strconv.Atoi(fd.Name())
		if err != nil {
			return err
		}
		_, _ = unix.FcntlInt(uintptr(n), unix.F_SETFD, 0) // the directory itself is closed
	}

	for range 3 {
		c := exec.Command("sleep", "1000")
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		if err := c.Start(); err != nil {
			return err
		}
	}
	return nil
}

// closeFrom closes all descriptors from first on and continues until the runtime fails.
func closeFrom(first uint) error {
	if err := unix.CloseRange(first, 1<<20, 0); err != nil {
		return err
	}
	for {
		time.Sleep(time.Millisecond)
	}
}

// scribble writes over the memory that this worker shares with its parent.
func scribble(what func(n int) []byte) error {
	lo, hi, err := sharedMemory()
	if err != nil {
		return err
	}
	mem, err := os.OpenFile("/proc/self/mem", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer mem.Close()
	_, err = mem.WriteAt(what(int(hi-lo)), lo)
	return err
}

func sharedMemory() (lo, hi int64, err error) {
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return 0, 0, err
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		if strings.Contains(lines.Text(), "/memfd:mp-") && strings.Contains(lines.Text(), " rw-s ") {
			_, err := fmt.Sscanf(lines.Text(), "%x-%x", &lo, &hi)
			return lo, hi, err
		}
	}
	return 0, 0, errors.New("it shares nothing")
}

// noise returns n random bytes.
func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}
