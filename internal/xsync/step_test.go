//go:build linux && amd64

package xsync_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/park"
	"github.com/go-multiprocessing/mp/internal/race"
	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

var (
	stepPoints = flag.Int("xsync.steps", 2, "TestDeathAtEveryStep: deaths of each operation beside those after each change of shared memory; 0: one at each instruction")
	stepBudget = flag.Duration("xsync.budget", 100*time.Millisecond, "TestDeathAtEveryStep: time for each operation, after which no other death is tried; they come in random order")
)

// A process that dies at any instruction of an operation leaves behind an object that others can
// use, or that reports the death. The test covers all states of memory in which the process may
// die, by stepping over its instructions one by one. The process dies after each instruction that
// has changed the object or a mailbox, and after some in between. Its private memory dies with it,
// so all instructions between two changes are equivalent.
func TestDeathAtEveryStep(t *testing.T) {
	if race.Enabled {
		t.Skip("the detector's own instructions would be most of the steps")
	}
	if testing.Short() {
		t.Skip("to step through the runtime's part of waiting takes long")
	}

	for _, s := range scenes {
		t.Run(s.name, func(t *testing.T) {
			st := newStage(t, s)
			began := time.Now()
			steps, changes, _ := st.play(func(int, int) bool { return false })
			if changes == 0 {
				t.Fatal("the operation changed nothing")
			}

			points := *stepPoints
			if points == 0 || points > steps {
				points = steps
			}

			deaths := 0
			for _, i := range rand.Perm(changes + points) {
				if deaths > 0 && time.Since(began) > *stepBudget {
					break
				}
				st.play(func(n, c int) bool {
					if i < changes {
						return c > i
					}
					return n >= (i-changes)*steps/points
				})
				deaths++
			}
			t.Logf("%d instructions, %d changes, %d deaths of %d", steps, changes, deaths, changes+points)
		})
	}
}

// A scene is an operation of a victim, with the actions of other processes during it.
type scene struct {
	name    string
	kinds   []xsync.Kind // of the objects; a Cond follows its Mutex
	make    func(s *stage)
	before  string // what the victim does first
	op      string
	here    string // action that waits in this process, or ""
	there   string // action that waits in a third process
	release func(s *stage)
	finish  func(s *stage) // after the death: lets all others finish
	check   func(s *stage) // when they have finished
}

// A stage plays scenes, one after another, each with new objects.
type stage struct {
	t         *testing.T
	scene     scene
	w         *world
	mailboxes []byte // mapped once more, for comparisons
	root      *park.WaitTable
	table     *park.WaitTable // of the waiters of this process
	peer      *helper
	spare     *helper
	n         int // the first object

	released bool
	waiters  sync.WaitGroup
	errs     chan error
	pending  int // answers of the peer
}

func newStage(t *testing.T, s scene) *stage {
	w := newWorld(t)
	tables := w.waitTables(rootSlot, hereSlot)
	st := &stage{t: t, scene: s, w: w, root: tables[0], table: tables[1], n: -2}
	mailboxes, err := unix.Mmap(w.mailboxes.FD(), 0, 4096, unix.PROT_READ, unix.MAP_SHARED)
	must(t, err)
	t.Cleanup(func() { _ = unix.Munmap(mailboxes) })
	st.mailboxes = mailboxes
	st.peer = w.start(t, "peer", peerSlot)
	st.spare = w.start(t, "victim", 2)
	return st
}

// play plays the scene until die returns true, given the numbers of the victim's instructions and
// changes, or until the operation is over. Then it kills the victim.
func (s *stage) play(die func(steps, changes int) bool) (steps, changes int, over bool) {
	t := s.t
	t.Helper()
	v := s.spare
	s.spare = s.w.start(t, "victim", 5-v.slot) // slots 2 and 3 in turn: the spare starts meanwhile
	s.n = (s.n + 2) % 2000
	clear(s.w.bytes(s.n))
	clear(s.w.bytes(s.n + 1))
	s.released, s.errs = false, make(chan error, 4)
	s.w.tally(overAt).Store(0)
	s.scene.make(s)
	v.say("%s %s %d", dash(s.scene.before), s.scene.op, s.n)
	var tid int
	_, err := fmt.Sscan(v.hear(t), &tid)
	must(t, err)
	s.startWaiters()
	steps, changes, over = s.step(v, tid, die)
	v.kill()
	objects := map[int]xsync.Kind{}
	for i, k := range s.scene.kinds {
		objects[s.n+i] = k
	}

	s.w.reap(v.slot, objects)
	what := fmt.Sprintf("%s after %d instructions and %d changes", s.scene.name, steps, changes)
	if !within(t, what, func() {
		s.unblock()
		if s.scene.finish != nil {
			s.scene.finish(s)
		}
		s.waiters.Wait()
	}) {
		t.Logf("%x", s.w.bytes(s.n)[:128])
		t.FailNow()
	}

	for ; s.pending > 0; s.pending-- {
		if l := s.hearPeer(what); l != "ok" {
			t.Fatalf("%s: the peer: %s", what, l)
		}
	}

	close(s.errs)
	for err := range s.errs {
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	if s.scene.check != nil {
		within(t, what+": the check", func() { s.scene.check(s) })
	}

	return steps, changes, over
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (s *stage) hearPeer(what string) (line string) {
	if !within(s.t, what+": the peer answers", func() { line = s.peer.hear(s.t) }) {
		s.t.Logf("%x", s.w.bytes(s.n)[:128])
		s.t.FailNow()
	}
	return line
}

// startWaiters starts the waiters and returns when they wait.
func (s *stage) startWaiters() {
	if s.scene.here != "" {
		s.startHere(s.scene.here)
		s.untilWaits(hereSlot)
	}
	if s.scene.there != "" {
		s.startThere(s.scene.there)
		s.untilWaits(peerSlot)
	}
}

func (s *stage) startHere(what string) {
	s.waiters.Go(func() { s.errs <- actions[what](s.w, s.table, s.n) })
}

func (s *stage) startThere(what string) {
	s.peer.say("%s %d", what, s.n)
	s.pending++
}

// use makes all three processes use the objects, and waits for the peer.
func (s *stage) use(what string) {
	s.startThere(what)
	err := actions[what](s.w, s.root, s.n)
	if e := actions[what](s.w, s.table, s.n); err == nil {
		err = e
	}
	if err != nil {
		s.t.Errorf("%s afterwards: %v", what, err)
	}
	s.pending--
	if l := s.hearPeer(what + " afterwards"); l != "ok" {
		s.t.Errorf("%s afterwards: the peer: %s", what, l)
	}
}

func (s *stage) untilWaits(slot int) {
	until(s.t, "waiting", func() bool {
		masks := uint64(0)
		for i, k := range s.scene.kinds {
			for _, at := range masksOf(k) {
				masks |= shm.Word64(s.w.bytes(s.n+i), at).Load()
			}
		}
		return masks>>slot&1 != 0
	})
}

// masksOf returns the offsets of an object's masks.
func masksOf(k xsync.Kind) []int {
	if k == xsync.KindPipe {
		first := xsync.PipeHead - 2*xsync.RingSize + 8
		return []int{first, first + xsync.RingSize} // of the receivers
	}
	return []int{8, 16, 24}
}

func (s *stage) unblock() {
	if s.scene.release != nil && !s.released {
		s.released = true
		s.scene.release(s)
	}
}

// step steps over the victim's instructions between its marker and the end of the operation.
func (s *stage) step(v *helper, tid int, die func(steps, changes int) bool) (steps, changes int, over bool) {
	runtime.LockOSThread() // the tracer is a thread
	defer runtime.UnlockOSThread()

	// Stop the monitor first: a stopped victim's thread may hold a runtime lock that the monitor
	// would wait for.
	monitor := s.stopMonitor(v.cmd.Process.Pid)
	must(s.t, unix.PtraceAttach(tid))
	kill := func() {
		_ = v.cmd.Process.Kill()
		s.awaitEnd(monitor) // needed before the first thread can be waited for
	}
	defer func() { // the thread must be waited for before its process
		kill()
		s.awaitEnd(tid)
	}()

	s.await(tid)
	stop := time.AfterFunc(never, kill)
	defer stop.Stop()
	must(s.t, unix.PtraceSetOptions(tid, unix.PTRACE_O_TRACESYSGOOD))
	v.say("go")
	s.toMarker(tid)
	before := s.look()
	s.changed(before)
	for !die(steps, changes) {
		s.unblockSleeper(tid)
		must(s.t, unix.PtraceSingleStep(tid))
		if !s.await(tid) {
			s.t.Fatalf("%s: the victim hangs or dies after %d instructions", s.scene.name, steps)
		}
		steps++
		if s.changed(before) {
			changes++
		}
		if s.w.tally(overAt).Load() != 0 {
			return steps, changes, true
		}
	}

	return steps, changes, false
}

// looked is how much of an object is compared: the words of all slots in use, or the first records
// of a Ring.
const looked = xsync.RingSize + 64

// look returns what is compared: the beginnings of objects, with the words of all slots in use, and
// the mailboxes.
func (s *stage) look() (seen [][2][]byte) {
	for i := range s.scene.kinds {
		b := s.w.bytes(s.n + i)[:looked]
		seen = append(seen, [2][]byte{b, bytes.Clone(b)})
	}
	b := s.mailboxes[:256*(hereSlot+1)]
	return append(seen, [2][]byte{b, bytes.Clone(b)})
}

// changed reports whether anything differs from the previous call.
func (s *stage) changed(seen [][2][]byte) (changed bool) {
	for _, x := range seen {
		if !bytes.Equal(x[0], x[1]) {
			copy(x[1], x[0])
			changed = true
		}
	}
	return changed
}

// await waits for the next stop of a thread.
func (s *stage) await(tid int) bool {
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(tid, &status, unix.WALL, nil)
		if err == unix.EINTR {
			continue
		}
		return err == nil && status.Stopped()
	}
}

// awaitEnd waits for the end of a thread.
func (s *stage) awaitEnd(tid int) {
	for status := unix.WaitStatus(0); ; {
		if _, err := unix.Wait4(tid, &status, unix.WALL, nil); err != nil && err != unix.EINTR || status.Exited() || status.Signaled() {
			return
		}
	}
}

// stopMonitor stops the runtime's monitor thread, the first thread that the runtime starts. The
// monitor preempts goroutines that run for 10 ms, and the preemption itself takes longer than that
// when it is stepped over. stopMonitor stops the thread when the thread sleeps or is about to
// sleep, so that the thread holds no lock of the runtime.
func (s *stage) stopMonitor(pid int) (tid int) {
	dir, err := os.Open(fmt.Sprintf("/proc/%d/task", pid))
	must(s.t, err)
	defer dir.Close()
	tids, err := dir.Readdirnames(2) // in the order of their starts
	must(s.t, err)
	tid, err = strconv.Atoi(tids[1])
	must(s.t, err)
	if err := unix.PtraceAttach(tid); err != nil {
		s.t.Skip("this system does not allow a process to trace another: ", err)
	}

	s.await(tid)
	for {
		var r unix.PtraceRegs
		must(s.t, unix.PtraceGetRegs(tid, &r))
		// A futex wait with a timeout is a sleep, too.
		if r.Orig_rax == unix.SYS_NANOSLEEP || r.Orig_rax == unix.SYS_FUTEX && r.R10 != 0 {
			return tid
		}

		must(s.t, unix.PtraceSyscall(tid, 0))
		s.await(tid)
	}
}

// toMarker lets the victim run until it has called getppid.
func (s *stage) toMarker(tid int) {
	var r unix.PtraceRegs
	for seen := 0; seen < 2; {
		must(s.t, unix.PtraceSyscall(tid, 0))
		if !s.await(tid) {
			s.t.Fatal("the victim died before its marker")
		}
		must(s.t, unix.PtraceGetRegs(tid, &r))
		if r.Orig_rax == unix.SYS_GETPPID {
			seen++
		}
	}
}

// unblockSleeper makes other processes provide what the victim waits for if the victim's next
// instruction is the system call in which it would wait.
func (s *stage) unblockSleeper(tid int) {
	const syscall0, syscall1 = 0x0f, 0x05
	if s.released || s.scene.release == nil {
		return
	}
	var r unix.PtraceRegs
	must(s.t, unix.PtraceGetRegs(tid, &r))
	if r.Rax != unix.SYS_FUTEX || r.Rsi != 0 { // the runtime's own futexes are private
		return
	}
	var code [2]byte
	if _, err := unix.PtracePeekText(tid, uintptr(r.Rip), code[:]); err == nil && code == [2]byte{syscall0, syscall1} {
		s.unblock()
	}
}

// overAt is the counter that says that the operation is over.
const overAt = 0

// victim does one thing, waits for a line, and then does another thing.
func victim(w *world, table *park.WaitTable) int {
	runtime.LockOSThread()
	var before, op string
	var n int
	if _, err := fmt.Sscan(readLine(), &before, &op, &n); err != nil {
		return 10
	}

	if f := actions[before]; f != nil {
		if err := f(w, table, n); err != nil {
			return 11
		}
	}

	runtime.MemProfileRate = 0
	f := operations[op](w, table, n)
	warmUp(table)
	debug.SetGCPercent(-1) // a collection would take many steps
	fmt.Println(unix.Gettid())
	readLine()
	unix.Getppid()
	f()
	w.tally(overAt).Store(1)
	readLine()
	return 0
}

// warmUp makes the runtime allocate the memory that waiting needs. Without this, the allocation
// would take most of the steps.
func warmUp(table *park.WaitTable) {
	var mask atomic.Uint64
	var s park.WaitQueue
	s.Init(table, &mask, 999, false)
	for range 4 {
		s.Leave(s.Enter())
	}
}

// peer does what it is told, each action in a goroutine of its own.
func peer(w *world, table *park.WaitTable) int {
	for {
		line := readLine()
		if line == "" {
			return 0
		}

		var what string
		var n int
		if _, err := fmt.Sscan(line, &what, &n); err != nil {
			return 10
		}

		go func() {
			answer := "ok"
			if err := actions[what](w, table, n); err != nil {
				answer = strings.ReplaceAll(err.Error(), "\n", " ")
			}
			_, _ = os.Stdout.WriteString(answer + "\n")
		}()
	}
}

func init() {
	roles["victim"], roles["peer"] = victim, peer
}
