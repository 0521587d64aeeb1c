//go:build linux

package deaths

import (
	"io"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/race"
	"github.com/go-multiprocessing/mp/mptest"
)

// Run runs each row as a lone call, in the middle of chunks of a Map, as a Process and, without
// -short, in streams. The table must have a row for each provided death, and no other rows.
func Run(t *testing.T, table []Row) {
	ways := map[string]bool{}
	for _, row := range table {
		ways[row.Way] = true
		t.Run(row.Way, func(t *testing.T) { row.run(t) })
	}
	for way := range deaths {
		if !ways[way] {
			t.Errorf("no row says what comes of it: %s", way)
		}
	}
}

// RunCrashing runs the rows of the table that [Crashing] returns.
func RunCrashing(t *testing.T, table []Row) {
	for _, row := range Crashing(table) {
		t.Run(row.Way, func(t *testing.T) { row.run(t) })
	}
}

func (r Row) run(t *testing.T) {
	if r.Needs == Memory && race.Enabled {
		t.Skip("the race detector's shadow of the memory needs more than the cap")
	}
	mptest.NoLeaks(t)
	forms := map[string]func(*testing.T, Row){"call": call, "map": mapped}
	if r.Needs != Deadline {
		forms["process"] = process
	}
	if r.Exit == -int(syscall.SIGHUP) && signal.Ignored(syscall.SIGHUP) {
		delete(forms, "process") // it inherits an ignored SIGHUP from nohup
	}
	if !testing.Short() {
		forms["stream"], forms["unordered"] = streamed, unordered
	}

	for name, form := range forms {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // some rows only wait for a deadline
			form(t, r)
		})
	}
}

const (
	workers = 2
	// With these values, a bystander must stall for the sum of both before it counts as stuck.
	timeout = 250 * time.Millisecond
	grace   = 150 * time.Millisecond
	memory  = 256 << 20
	// never is the time after which a test counts as hung.
	never = 30 * time.Second
)

// trial is one run of a row in a pool.
type trial struct {
	*testing.T
	row    Row
	notes  string
	pool   *mp.Pool
	before []int // the workers' process IDs
}

func newTrial(t *testing.T, row Row) *trial {
	t.Helper()
	x := &trial{T: t, row: row, notes: newNotes(t)}
	pool, err := mp.NewPool(mp.PoolConfig{Workers: workers, Grace: grace, Limits: row.limits(), Env: row.env(), Output: quiet})
	if err != nil {
		t.Fatal(err)
	}
	x.pool = pool
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	})
	x.before = x.atFullStrength()
	return x
}

// quickExit keeps the race detector from sleeping for a second at every exit.
var quickExit = []string{"GORACE=atexit_sleep_ms=0"}

func (r Row) env() []string { return slices.Concat(quickExit, r.Env) }

var quiet = mp.Output{Stdout: io.Discard, Stderr: io.Discard, Logger: slog.New(slog.DiscardHandler)}

func (r Row) limits() (l mp.Limits) {
	l.NoCoreDumps = true
	if r.Needs == Memory {
		l.Memory = memory
	}
	return l
}

func (r Row) option() mp.CallOption {
	if r.Needs == Deadline {
		return mp.Timeout(timeout)
	}
	return mp.Timeout(0)
}

func newNotes(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "notes")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// times returns how many times each element was run.
func (x *trial) times() map[int]int {
	x.Helper()
	b, err := os.ReadFile(x.notes)
	if err != nil {
		x.Fatal(err)
	}
	times := map[int]int{}
	for line := range strings.Lines(string(b)) {
		n, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			x.Fatal(err)
		}
		times[n]++
	}
	return times
}

// atFullStrength waits until there are as many workers as there should be, and returns their
// process IDs.
func (x *trial) atFullStrength() (pids []int) {
	x.Helper()
	for deadline := time.Now().Add(never); ; time.Sleep(time.Millisecond) {
		alive := map[int]bool{}
		for _, w := range x.pool.Workers() {
			if _, err := os.Stat("/proc/" + strconv.Itoa(w.PID)); err == nil {
				alive[w.PID] = true
			}
		}
		if len(alive) == workers {
			return slices.Sorted(maps.Keys(alive))
		}
		if time.Now().After(deadline) {
			x.Fatalf("%d workers, not %d", len(alive), workers)
		}
	}
}

// recovered checks that the pool has recovered. The worker must have been replaced if necessary,
// the other worker must be the same as before, and both must work.
func (x *trial) recovered(err error) {
	x.Helper()
	want := x.before
	w := workerError(err)
	if w != nil {
		want = slices.DeleteFunc(slices.Clone(want), func(pid int) bool { return pid == w.PID })
	}
	x.until("replaced", func() bool { return w == nil || !slices.Contains(x.atFullStrength(), w.PID) })
	now := x.atFullStrength()
	for _, pid := range want {
		if !slices.Contains(now, pid) {
			x.Errorf("the workers were %d and are %d", x.before, now)
		}
	}
	if replaced := x.row.End != GoesOn; (len(want) < workers) != replaced {
		x.Errorf("the workers were %d, one died: %t, not %t", x.before, len(want) < workers, replaced)
	}

	notes := newNotes(x.T)
	in := make([]element, 20)
	for i := range in {
		in[i] = element{N: i, Notes: notes}
		if v, err := mp.Call(x.Context(), x.pool, task, in[i]); v != in[i].result() || err != nil {
			x.Errorf("afterwards: %d, %v", v, err)
		}
	}
	out, err := mp.Map(x.Context(), x.pool, task, in)
	if err != nil {
		x.Errorf("afterwards: %v", err)
	}

	for i, v := range out {
		if v != in[i].result() {
			x.Errorf("afterwards, element %d: %d", i, v)
		}
	}
}

// until polls for a state that is not announced.
func (x *trial) until(what string, f func() bool) {
	x.Helper()
	for deadline := time.Now().Add(never); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			x.Fatal("in vain: ", what)
		}
	}
}
