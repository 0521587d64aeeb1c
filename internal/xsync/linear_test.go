//go:build linux && amd64

package xsync_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/park"
	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// Operations of clients, and their results.
const (
	opLock = uint64(iota)
	opTryLock
	opUnlock
	opRLock
	opTryRLock
	opRUnlock
	opAcquire
	opTryAcquire
	opRelease
	opAvailable
)

const (
	resFalse = uint64(iota)
	resOK
	resNotHeld
	resOther // allowed by no model
)

var opNames = []string{"Lock", "TryLock", "Unlock", "RLock", "TryRLock", "RUnlock", "Acquire", "TryAcquire", "Release", "Available"}

// An act is an operation of a history. Its tickets, from before and after the call, come from a
// counter that all processes share.
type act struct {
	slot, client uint64 // a client is a goroutine
	call, ret    uint64
	op, res      uint64
	long         bool // the act took so long that it may have been starving
}

func (a act) String() string {
	return fmt.Sprintf("%d-%d client %d of slot %d: %s %d long %v", a.call, a.ret, a.client, a.slot, opNames[a.op], a.res, a.long)
}

// beside reports whether, at the same time, another client executed an operation for which is
// returns true.
func (a act) beside(all []act, is func(b act) bool) bool {
	for _, b := range all {
		if b.client != a.client && b.call < a.ret && a.call < b.ret && is(b) {
			return true
		}
	}
	return false
}

// A model returns the state after an operation, and whether the operation can have had its result.
type model func(state uint64, a act, all []act) (next uint64, ok bool)

// linear reports whether the operations of a history can be put in an order in which the model
// allows each of them, and in which operations that did not overlap keep their order. A history has
// at most 64 operations. linear uses the search of Wing and Gong, which visits no combination of
// completed operations and state twice.
func linear(all []act, state uint64, m model) bool {
	type node struct{ done, state uint64 }
	seen := map[node]bool{}
	var search func(at node) bool
	search = func(at node) bool {
		if at.done == 1<<len(all)-1 {
			return true
		}
		if seen[at] {
			return false
		}

		seen[at] = true
		for i, a := range all {
			if at.done>>i&1 != 0 || a.call > firstReturn(all, at.done) {
				continue
			}
			if next, ok := m(at.state, a, all); ok && search(node{at.done | 1<<i, next}) {
				return true
			}
		}
		return false
	}

	return search(node{0, state})
}

// firstReturn returns the time at which the first of the operations that are not done returned.
// Operations that were called after that time come later in the order.
func firstReturn(all []act, done uint64) uint64 {
	first := uint64(math.MaxUint64)
	for i, a := range all {
		if done>>i&1 == 0 {
			first = min(first, a.ret)
		}
	}
	return first
}

// The state of mutexModel is the slot of the holder, since a Mutex does not know goroutines.
// TryLock fails if the lock is held, or at the same time as a Lock that may be starving and gets
// the lock first.
func mutexModel(holder uint64, a act, all []act) (uint64, bool) {
	switch {
	case a.op == opUnlock && a.res == resNotHeld:
		return holder, holder != a.slot
	case a.op == opUnlock:
		return 0, a.res == resOK && holder == a.slot
	case a.res == resOK:
		return a.slot, holder == 0
	}
	starved := func(b act) bool { return b.op == opLock && b.long }
	return holder, a.op == opTryLock && a.res == resFalse && (holder != 0 || a.beside(all, starved))
}

// The state of rwModel is the slot of the writer, and in the bits above it the number of readers. A
// writer keeps others out before it knows whether there are readers, and a reader is counted before
// it knows whether there is a writer. Therefore TryRLock may also fail at the same time as a Lock
// or a TryLock. TryLock may also fail at the same time as these, an RLock, a TryRLock, or an Unlock
// that gives the readers their turn. Without such calls, TryRLock and TryLock are exact.
func rwModel(state uint64, a act, all []act) (uint64, bool) {
	const reader = 1 << 16
	writer, readers := state%reader, state/reader
	writes := func(b act) bool { return b.op == opLock || b.op == opTryLock }
	wants := func(b act) bool { return writes(b) || b.op == opRLock || b.op == opTryRLock || b.op == opUnlock }
	switch a.op {
	case opUnlock:
		if a.res == resNotHeld {
			return state, writer != a.slot
		}
		return state - writer, a.res == resOK && writer == a.slot
	case opRUnlock:
		return state - reader, a.res == resOK && readers > 0
	case opLock, opTryLock:
		if a.res == resOK {
			return a.slot, state == 0
		}
		return state, a.op == opTryLock && a.res == resFalse && (state != 0 || a.beside(all, wants))

	case opRLock, opTryRLock:
		if a.res == resOK {
			return state + reader, writer == 0
		}
		return state, a.op == opTryRLock && a.res == resFalse && (writer != 0 || a.beside(all, writes))
	}

	return state, false
}

// The state of semaphoreModel is the number of permits. TryAcquire fails if there is no permit, or
// at the same time as an Acquire that may be starving and gets the permit first.
func semaphoreModel(permits uint64, a act, all []act) (uint64, bool) {
	switch {
	case a.op == opAvailable:
		return permits, a.res == permits
	case a.op == opRelease:
		return permits + 1, a.res == resOK
	case a.res == resOK:
		return permits - 1, permits > 0
	}
	starved := func(b act) bool { return b.op == opAcquire && b.long }
	return permits, a.op == opTryAcquire && a.res == resFalse && (permits == 0 || a.beside(all, starved))
}

// A client chooses the next step of a history according to what it holds, and holds nothing at the
// end. The argument last of pick says that the client has taken all of its steps. A client that
// holds something does not wait, so all clients finish.
type client struct {
	r     *rand.Rand
	holds uint64 // the operation that took it: 0 for none, opLock+1, ...
	do    func(op uint64) uint64
	pick  func(c *client, last bool) (op uint64, more bool)
}

func (c *client) one(ops ...uint64) uint64 { return ops[c.r.IntN(len(ops))] }

// pickMutex sometimes releases a lock that the client may not hold, because another goroutine of
// its process may hold the lock.
func pickMutex(c *client, last bool) (uint64, bool) {
	switch {
	case c.holds != 0 && last:
		return opUnlock, true
	case c.holds != 0:
		return c.one(opUnlock, opUnlock, opTryLock), true
	}
	return c.one(opLock, opLock, opLock, opTryLock, opTryLock, opUnlock), !last
}

// pickRW releases a read lock only if the client has one. An RWMutex need not detect anything else.
func pickRW(c *client, last bool) (uint64, bool) {
	release := opUnlock
	if c.holds == opRLock+1 {
		release = opRUnlock
	}
	switch {
	case c.holds != 0 && last:
		return release, true
	case c.holds != 0:
		return c.one(release, release, release, opTryLock), true
	}
	return c.one(opLock, opTryLock, opTryLock, opRLock, opRLock, opTryRLock, opUnlock), !last
}

func pickSemaphore(c *client, last bool) (uint64, bool) {
	switch {
	case c.holds != 0 && last:
		return opRelease, true
	case c.holds != 0:
		return c.one(opRelease, opRelease, opTryAcquire, opAvailable), true
	}
	return c.one(opAcquire, opAcquire, opTryAcquire, opTryAcquire, opAvailable), !last
}

// note updates what the client holds: a number of permits, or one lock.
func (c *client) note(op, res uint64) {
	switch {
	case op == opUnlock || op == opRUnlock:
		c.holds = 0
	case op == opRelease:
		c.holds--
	case op == opAvailable || res != resOK:
	case op == opAcquire || op == opTryAcquire:
		c.holds++
	case op == opRLock || op == opTryRLock:
		c.holds = opRLock + 1
	default:
		c.holds = opLock + 1
	}
}

func result(ok bool, err error) uint64 {
	switch {
	case errors.Is(err, errs.ErrNotHeld):
		return resNotHeld
	case err != nil:
		return resOther
	case ok:
		return resOK
	}
	return resFalse
}

// A subject is a kind of object whose histories are checked.
type subject struct {
	make  func(m xsync.Memory)
	open  func(m xsync.Memory) func(op uint64) uint64
	pick  func(c *client, last bool) (uint64, bool)
	model model
	first uint64
}

const linearPermits = 2

var subjects = map[string]subject{
	"mutex":     {func(m xsync.Memory) { xsync.NewMutex(m) }, doMutex, pickMutex, mutexModel, 0},
	"rwmutex":   {func(m xsync.Memory) { xsync.NewRWMutex(m) }, doRW, pickRW, rwModel, 0},
	"semaphore": {func(m xsync.Memory) { xsync.NewSemaphore(m, linearPermits) }, doSemaphore, pickSemaphore, semaphoreModel, linearPermits},
}

func doMutex(mem xsync.Memory) func(op uint64) uint64 {
	m := xsync.OpenMutex(mem)
	return func(op uint64) uint64 {
		switch op {
		case opLock:
			return result(true, m.Lock(forever))
		case opTryLock:
			return result(m.TryLock())
		}
		return result(true, m.Unlock())
	}
}

func doRW(mem xsync.Memory) func(op uint64) uint64 {
	m := xsync.OpenRWMutex(mem)
	return func(op uint64) uint64 {
		switch op {
		case opLock:
			return result(true, m.Lock(forever))
		case opTryLock:
			return result(m.TryLock())
		case opRLock:
			return result(true, m.RLock(forever))
		case opTryRLock:
			return result(m.TryRLock())
		case opRUnlock:
			return result(true, m.RUnlock())
		}

		return result(true, m.Unlock())
	}
}

func doSemaphore(mem xsync.Memory) func(op uint64) uint64 {
	s := xsync.OpenSemaphore(mem)
	return func(op uint64) uint64 {
		switch op {
		case opAcquire:
			return result(true, s.Acquire(forever))
		case opTryAcquire:
			return result(s.TryAcquire())
		case opAvailable:
			n, err := s.Available()
			if err != nil {
				return math.MaxUint64
			}
			return uint64(n)
		}

		return result(true, s.Release())
	}
}

// The counters of histories, and the places where clients write their histories.
const (
	ticketAt      = 0
	readyAt       = 1
	logsAt        = 3000
	clientsEach   = 2
	linearClients = 3 * clientsEach
	linearSteps   = 5
	starvedAfter  = time.Millisecond // see starvationThreshold
)

// write makes the goroutines of a slot use the n-th object.
func (w *world) write(table *park.WaitTable, kind string, n int, seed uint64) {
	s := subjects[kind]
	do := s.open(w.memory(table, n))
	var wg sync.WaitGroup
	for i := range clientsEach {
		at := (table.Slot()-1)*clientsEach + i
		c := &client{r: rand.New(rand.NewPCG(seed, uint64(at))), do: do, pick: s.pick}
		wg.Go(func() { w.writeOne(c, at) })
	}
	wg.Wait()
}

// writeOne writes the history of one client. It starts when all clients are ready.
func (w *world) writeOne(c *client, at int) {
	for w.tally(readyAt).Add(1); w.tally(readyAt).Load() < linearClients; {
		runtime.Gosched()
	}
	log, tickets := w.bytes(logsAt+at), w.tally(ticketAt)
	for i := 0; ; i++ {
		op, more := c.pick(c, i >= linearSteps)
		if !more {
			shm.Word64(log, 0).Store(uint64(i))
			return
		}

		began := time.Now()
		call := tickets.Add(1)
		res := c.do(op)
		ret := tickets.Add(1)
		c.note(op, res)
		long := uint64(0)
		if time.Since(began) >= starvedAfter {
			long = 1
		}

		for j, x := range []uint64{call, ret, op, res, long} {
			shm.Word64(log, 8*(1+5*i+j)).Store(x)
		}
		for range c.r.IntN(3) {
			runtime.Gosched()
		}
	}
}

// gather returns the history that all clients have written.
func (w *world) gather() (all []act) {
	for at := range linearClients {
		log := w.bytes(logsAt + at)
		for i := range shm.Word64(log, 0).Load() {
			word := func(j uint64) uint64 { return shm.Word64(log, int(8*(1+5*i+j))).Load() }
			all = append(all, act{uint64(at/clientsEach + 1), uint64(at), word(0), word(1), word(2), word(3), word(4) != 0})
		}
	}
	return all
}

// scribe writes the histories that it is told to write.
func scribe(w *world, table *park.WaitTable) int {
	for {
		var kind string
		var n int
		var seed uint64
		if _, err := fmt.Sscan(readLine(), &kind, &n, &seed); err != nil {
			return 0
		}
		w.write(table, kind, n, seed)
		fmt.Println("ok")
	}
}

func init() { roles["scribe"] = scribe }

// Concurrent operations of several processes on an object are linearizable.
func TestLinearizable(t *testing.T) {
	for kind, s := range subjects {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t)
			root := w.waitTables(rootSlot)[0]
			others := []*helper{w.start(t, "scribe", 2), w.start(t, "scribe", 3)}
			times := 150
			if testing.Short() {
				times = 50
			}

			overlaps, failed := 0, 0
			for n := range times {
				all := w.history(t, root, others, kind, n, rand.Uint64())
				if !linear(all, s.first, s.model) {
					t.Fatalf("no order explains history %d:\n%s", n, show(all))
				}
				overlaps, failed = overlaps+overlapping(all), failed+failures(all)
			}

			t.Logf("%d operations beside others, %d in vain", overlaps, failed)
			if overlaps == 0 || failed == 0 {
				t.Error("the clients were never in each other's way")
			}
		})
	}
}

func (w *world) history(t *testing.T, root *park.WaitTable, others []*helper, kind string, n int, seed uint64) []act {
	subjects[kind].make(w.memory(root, n))
	w.tally(readyAt).Store(0)
	for _, h := range others {
		h.say("%s %d %d", kind, n, seed)
	}
	if !within(t, "the history ends", func() {
		w.write(root, kind, n, seed)
		for _, h := range others {
			h.hear(t)
		}
	}) {
		t.FailNow()
	}
	return w.gather()
}

func show(all []act) string {
	var b strings.Builder
	for _, a := range all {
		fmt.Fprintln(&b, a)
	}
	return b.String()
}

func overlapping(all []act) (n int) {
	for _, a := range all {
		if a.beside(all, func(act) bool { return true }) {
			n++
		}
	}
	return n
}

func failures(all []act) (n int) {
	for _, a := range all {
		if a.op != opAvailable && a.res == resFalse {
			n++
		}
	}
	return n
}

// The checker distinguishes correct histories from wrong ones.
func TestLinearChecker(t *testing.T) {
	lock := func(client, call, ret, op, res uint64) act {
		return act{slot: client, client: client, call: call, ret: ret, op: op, res: res}
	}

	for _, c := range []struct {
		name  string
		model model
		first uint64
		right bool
		all   []act
	}{
		{"one after the other", mutexModel, 0, true, []act{lock(1, 1, 2, opLock, resOK), lock(1, 3, 4, opUnlock, resOK), lock(2, 5, 6, opTryLock, resOK)}},
		{"a lock that waits", mutexModel, 0, true, []act{lock(2, 1, 6, opLock, resOK), lock(1, 2, 3, opLock, resOK), lock(1, 4, 5, opUnlock, resOK)}},
		{"two at once", mutexModel, 0, false, []act{lock(1, 1, 2, opLock, resOK), lock(2, 3, 6, opLock, resOK), lock(1, 7, 8, opUnlock, resOK)}},
		{"in vain though it is free", mutexModel, 0, false, []act{lock(1, 1, 2, opLock, resOK), lock(1, 3, 4, opUnlock, resOK), lock(2, 5, 6, opTryLock, resFalse)}},
		{"in vain beside the unlock", mutexModel, 0, true, []act{lock(1, 1, 2, opLock, resOK), lock(1, 3, 6, opUnlock, resOK), lock(2, 4, 5, opTryLock, resFalse)}},
		{"given up by another process", mutexModel, 0, false, []act{lock(1, 1, 2, opLock, resOK), lock(2, 3, 4, opUnlock, resOK)}},
		{"two readers", rwModel, 0, true, []act{lock(1, 1, 2, opRLock, resOK), lock(2, 3, 4, opTryRLock, resOK), lock(3, 5, 6, opTryLock, resFalse)}},
		{"a reader with a writer", rwModel, 0, false, []act{lock(1, 1, 2, opLock, resOK), lock(2, 3, 4, opTryRLock, resOK)}},
		{"a writer with a reader", rwModel, 0, false, []act{lock(1, 1, 2, opRLock, resOK), lock(2, 3, 6, opLock, resOK), lock(1, 7, 8, opRUnlock, resOK)}},
		{"no reading though nobody writes", rwModel, 0, false, []act{lock(1, 1, 2, opRLock, resOK), lock(2, 3, 4, opTryRLock, resFalse)}},
		{"no reading beside one who wants to write", rwModel, 0, true, []act{lock(1, 1, 2, opRLock, resOK), lock(3, 3, 8, opTryLock, resFalse), lock(2, 4, 5, opTryRLock, resFalse)}},
		{"all permits", semaphoreModel, 1, true, []act{lock(1, 1, 2, opAcquire, resOK), lock(2, 3, 4, opTryAcquire, resFalse), lock(2, 5, 6, opAvailable, 0)}},
		{"a permit too many", semaphoreModel, 1, false, []act{lock(1, 1, 2, opAcquire, resOK), lock(2, 3, 4, opTryAcquire, resOK)}},
		{"a permit lost", semaphoreModel, 0, false, []act{lock(1, 1, 2, opRelease, resOK), lock(2, 3, 4, opAvailable, 0)}},
	} {
		if linear(c.all, c.first, c.model) != c.right {
			t.Errorf("%s: right should be %v:\n%s", c.name, c.right, show(c.all))
		}
	}
}
