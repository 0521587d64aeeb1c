//go:build linux

package xsync_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/park"
	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/xsync"
	"github.com/go-multiprocessing/mp/mptest"
)

const helperVar = "XSYNC_TEST_HELPER" // a helper's role and slot

func TestMain(m *testing.M) {
	if what := os.Getenv(helperVar); what != "" {
		os.Exit(help(what))
	}
	mptest.Main(m)
}

const never = 20 * time.Second

func within(t testing.TB, what string, f func()) bool {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
		return true
	case <-time.After(never):
		t.Errorf("in vain: %s", what)
		return false
	}
}

// until waits for a state that is not announced.
func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(never); !f(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(deadline) {
			t.Fatal("in vain: ", what)
		}
	}
}

var forever = context.Background()

// must fails the test on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A world is the memory that the processes of a test share. The segment begins with a page of words
// for the tests' own counters; objects follow.
type world struct {
	mailboxes *park.Mailboxes
	fd        int
	mem       []byte
}

const (
	worldSize = 64 << 20
	firstAt   = 4096
	spacing   = 16 << 10 // distance between objects
)

func newWorld(t testing.TB) *world {
	t.Helper()
	mailboxes, err := park.NewMailboxes()
	must(t, err)
	fd, mem, err := shm.New("mp-test", worldSize)
	must(t, err)
	w := &world{mailboxes: mailboxes, fd: fd, mem: mem}
	t.Cleanup(w.close)
	return w
}

func (w *world) close() {
	_ = shm.Unmap(w.mem)
	shm.CloseFD(w.fd)
	_ = w.mailboxes.Close()
}

// tally returns the i-th of the tests' own words.
func (w *world) tally(i int) *atomic.Uint64 { return shm.Word64(w.mem, 8*i) }

// waitTable returns the WaitTable of a slot. Its heartbeat is so slow that a waiter that is not
// woken sleeps longer than any test takes.
func (w *world) waitTable(slot int) *park.WaitTable {
	l := park.NewWaitTable(w.mailboxes, slot)
	l.Heartbeat = time.Hour
	return l
}

// waitTables occupies slots, and returns WaitTables of this process for them.
func (w *world) waitTables(slots ...int) (tables []*park.WaitTable) {
	for _, s := range slots {
		w.mailboxes.Occupy(s)
		tables = append(tables, w.waitTable(s))
	}
	return tables
}

// memory returns the memory of the n-th object, which may be of any kind.
func (w *world) memory(table *park.WaitTable, n int) xsync.Memory {
	return xsync.Memory{WaitTable: table, Bytes: w.bytes(n), Gen: uint32(n + 1), Bucket: uint32(5 * n)}
}

func (w *world) bytes(n int) []byte { return w.mem[firstAt+n*spacing:][:spacing:spacing] }

// mask returns the i-th mask of the n-th object.
func (w *world) mask(n, i int) uint64 { return shm.Word64(w.bytes(n), 8+8*i).Load() }

// reap does what the root process does after a death.
func (w *world) reap(slot int, objects map[int]xsync.Kind) {
	for n, k := range objects {
		xsync.Reap(k, w.bytes(n), slot)
	}
	w.mailboxes.Vacate(slot)
	w.mailboxes.RingAll()
}

// A helper is this test binary, run as another process of the world.
type helper struct {
	slot int
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	once sync.Once
}

// start starts a process with the given role.
func (w *world) start(t testing.TB, role string, slot int) *helper {
	t.Helper()
	w.mailboxes.Occupy(slot)
	h := &helper{slot: slot, cmd: exec.Command("/proc/self/exe")}
	h.cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d", helperVar, role, slot), "GODEBUG=asyncpreemptoff=1", "GOMAXPROCS=2")
	h.cmd.ExtraFiles = []*os.File{dup(t, w.mailboxes.FD()), dup(t, w.fd), dup(t, w.mailboxes.RosterFD())}
	h.cmd.Stderr = os.Stderr
	in, err := h.cmd.StdinPipe()
	must(t, err)
	out, err := h.cmd.StdoutPipe()
	must(t, err)
	h.in, h.out = in, bufio.NewReader(out)
	must(t, h.cmd.Start())
	for _, f := range h.cmd.ExtraFiles {
		f.Close()
	}

	t.Cleanup(h.kill)
	return h
}

func dup(t testing.TB, fd int) *os.File {
	t.Helper()
	fd, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	must(t, err)
	return os.NewFile(uintptr(fd), "shared")
}

// kill kills the process and returns when it has exited.
func (h *helper) kill() {
	h.once.Do(func() {
		_ = h.cmd.Process.Kill()
		_ = h.cmd.Wait()
	})
}

// say sends a line to the process.
func (h *helper) say(format string, args ...any) { fmt.Fprintf(h.in, format+"\n", args...) }

// hear receives a line from the process.
func (h *helper) hear(t testing.TB) string {
	t.Helper()
	line, err := h.out.ReadString('\n')
	must(t, err)
	return strings.TrimSpace(line)
}

// help is the main function of a helper.
func help(what string) int {
	var role string
	var slot int
	if _, err := fmt.Sscan(what, &role, &slot); err != nil {
		return 2
	}

	mailboxes, err := park.OpenMailboxes(3, 5)
	if err != nil {
		return 3
	}
	unix.CloseOnExec(4)
	mem, err := shm.Map(4, worldSize)
	if err != nil {
		return 4
	}

	w := &world{mailboxes: mailboxes, fd: 4, mem: mem}
	if f := roles[role]; f != nil {
		return f(w, w.waitTable(slot))
	}
	return 5
}

// roles contains the functions that helpers can run.
var roles = map[string]func(*world, *park.WaitTable) int{
	"crowd": crowd,
}

// lockAnyhow takes a lock, repairs it first if necessary, and reports whether it did.
func lockAnyhow(lock, recover func() error) (repaired bool, err error) {
	for {
		err := lock()
		if !errors.Is(err, errs.ErrOwnerDied) {
			return repaired, err
		}
		repaired = true
		if err := recover(); err != nil {
			return repaired, err
		}
	}
}

func lockMutex(m *xsync.Mutex) (repaired bool, err error) {
	return lockAnyhow(
		func() error { return m.Lock(forever) },
		func() error { return m.Recover(forever, func() error { return nil }) })
}

func lockRW(m *xsync.RWMutex) (repaired bool, err error) {
	return lockAnyhow(
		func() error { return m.Lock(forever) },
		func() error { return m.Recover(forever, func() error { return nil }) })
}

func rlockRW(m *xsync.RWMutex) error {
	_, err := lockAnyhow(
		func() error { return m.RLock(forever) },
		func() error { return m.Recover(forever, func() error { return nil }) })
	return err
}

// readLine reads exactly one line, and stays on its thread.
func readLine() string {
	var line []byte
	for b := make([]byte, 1); ; line = append(line, b[0]) {
		if n, err := unix.Read(0, b); err == unix.EINTR {
			continue
		} else if n != 1 || b[0] == '\n' {
			return string(line)
		}
	}
}

// Slots of the other participants; victims have slots 2 and 3.
const (
	rootSlot = 1
	peerSlot = 4
	hereSlot = 5
)
