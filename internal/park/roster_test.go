//go:build linux

package park_test

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/park"
)

// A process other than the root sees which slots are in use but cannot change that, neither through
// a mapping nor through the descriptor.
func TestRosterIsTheRoots(t *testing.T) {
	m, err := park.NewMailboxes()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	m.Occupy(3)
	mine := []int{dupOf(t, m.FD()), dupOf(t, m.RosterFD())}
	others, err := park.OpenMailboxes(mine[0], mine[1])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = others.Close() }()
	table := park.NewWaitTable(others, 3)

	if _, err := unix.Mmap(m.RosterFD(), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); !errors.Is(err, unix.EPERM) {
		t.Errorf("a writable mapping: %v", err)
	}
	if _, err := unix.Pwrite(m.RosterFD(), make([]byte, 4096), 0); !errors.Is(err, unix.EPERM) {
		t.Errorf("a write: %v", err)
	}
	if err := unix.Fallocate(m.RosterFD(), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 4096); err == nil {
		t.Error("a hole was punched")
	}

	m.Occupy(1000)
	for slot, want := range map[int]bool{3: true, 1000: true, 4: false, 0: false, -1: false, 1 << 20: false} {
		if table.Occupied(slot) != want {
			t.Errorf("slot %d: %v", slot, !want)
		}
	}
	m.Vacate(3)
	if table.Occupied(3) {
		t.Error("slot 3 is in use though it was given back")
	}
}

func dupOf(t *testing.T, fd int) int {
	t.Helper()
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return own
}
