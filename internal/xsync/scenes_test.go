//go:build linux && amd64

package xsync_test

import (
	"errors"
	"fmt"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/park"
	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// operations contains the operations during which victims die. Each function opens the object
// before the first step.
var operations = map[string]func(w *world, table *park.WaitTable, n int) (op func()){
	"lock": func(w *world, table *park.WaitTable, n int) func() {
		m := xsync.OpenMutex(w.memory(table, n))
		return func() { _ = m.Lock(forever) }
	},
	"unlock": func(w *world, table *park.WaitTable, n int) func() {
		m := xsync.OpenMutex(w.memory(table, n))
		return func() { _ = m.Unlock() }
	},
	"recover": func(w *world, table *park.WaitTable, n int) func() {
		m := xsync.OpenMutex(w.memory(table, n))
		return func() { _ = m.Recover(forever, func() error { return nil }) }
	},
	"rlock": func(w *world, table *park.WaitTable, n int) func() {
		m := xsync.OpenRWMutex(w.memory(table, n))
		return func() { _ = m.RLock(forever) }
	},
	"runlock": func(w *world, table *park.WaitTable, n int) func() {
		m := xsync.OpenRWMutex(w.memory(table, n))
		return func() { _ = m.RUnlock() }
	},
	"wlock": func(w *world, table *park.WaitTable, n int) func() {
		m := xsync.OpenRWMutex(w.memory(table, n))
		return func() { _ = m.Lock(forever) }
	},
	"wunlock": func(w *world, table *park.WaitTable, n int) func() {
		m := xsync.OpenRWMutex(w.memory(table, n))
		return func() { _ = m.Unlock() }
	},
	"wait": func(w *world, table *park.WaitTable, n int) func() {
		c := condOf(w, table, n)
		return func() { _ = c.Wait(forever) }
	},
	"signal": func(w *world, table *park.WaitTable, n int) func() {
		c := condOf(w, table, n)
		return func() { _ = c.Signal() }
	},
	"broadcast": func(w *world, table *park.WaitTable, n int) func() {
		c := condOf(w, table, n)
		return func() { _ = c.Broadcast() }
	},
	"acquire": func(w *world, table *park.WaitTable, n int) func() {
		s := xsync.OpenSemaphore(w.memory(table, n))
		return func() { _ = s.Acquire(forever) }
	},
	"release": func(w *world, table *park.WaitTable, n int) func() {
		s := xsync.OpenSemaphore(w.memory(table, n))
		return func() { _ = s.Release() }
	},
	"bacquire": func(w *world, table *park.WaitTable, n int) func() {
		b := xsync.OpenBounded(w.memory(table, n))
		return func() { _ = b.Acquire(forever) }
	},
	"brelease": func(w *world, table *park.WaitTable, n int) func() {
		b := xsync.OpenBounded(w.memory(table, n))
		return func() { _ = b.Release() }
	},
	"arrive": func(w *world, table *park.WaitTable, n int) func() {
		b := xsync.OpenBarrier(w.memory(table, n))
		return func() { _, _ = b.Wait(forever, func() error { return nil }) }
	},
	"reset": func(w *world, table *park.WaitTable, n int) func() {
		b := xsync.OpenBarrier(w.memory(table, n))
		return func() { _ = b.Reset() }
	},
	"set": func(w *world, table *park.WaitTable, n int) func() {
		e := xsync.OpenEvent(w.memory(table, n))
		return func() { _ = e.Set() }
	},
	"do": func(w *world, table *park.WaitTable, n int) func() {
		o := xsync.OpenOnce(w.memory(table, n))
		return func() { _ = o.Do(forever, func() error { return nil }) }
	},
	"done": func(w *world, table *park.WaitTable, n int) func() {
		g := xsync.OpenWaitGroup(w.memory(table, n))
		return func() { _ = g.Add(-1) }
	},
}

func condOf(w *world, table *park.WaitTable, n int) *xsync.Cond {
	return xsync.OpenCond(w.memory(table, n+1), xsync.OpenMutex(w.memory(table, n)))
}

// actions contains what the living processes do with an object. They handle reports of deaths, and
// fail if they find an impossible state.
var actions = map[string]func(w *world, table *park.WaitTable, n int) error{
	"take": func(w *world, table *park.WaitTable, n int) error {
		return xsync.OpenMutex(w.memory(table, n)).Lock(forever)
	},
	"read": func(w *world, table *park.WaitTable, n int) error {
		return xsync.OpenRWMutex(w.memory(table, n)).RLock(forever)
	},
	"write": func(w *world, table *park.WaitTable, n int) error {
		return xsync.OpenRWMutex(w.memory(table, n)).Lock(forever)
	},
	"permit": func(w *world, table *park.WaitTable, n int) error {
		return xsync.OpenSemaphore(w.memory(table, n)).Acquire(forever)
	},
	"bpermit": func(w *world, table *park.WaitTable, n int) error {
		return xsync.OpenBounded(w.memory(table, n)).Acquire(forever)
	},
	"lock": func(w *world, table *park.WaitTable, n int) error {
		m := xsync.OpenMutex(w.memory(table, n))
		if _, err := lockMutex(m); err != nil {
			return err
		}
		return alone(w, m.Unlock)
	},
	"wlock": func(w *world, table *park.WaitTable, n int) error {
		m := xsync.OpenRWMutex(w.memory(table, n))
		if _, err := lockRW(m); err != nil {
			return err
		}
		return alone(w, m.Unlock)
	},
	"rlock": func(w *world, table *park.WaitTable, n int) error {
		m := xsync.OpenRWMutex(w.memory(table, n))
		if err := rlockRW(m); err != nil {
			return err
		}
		if w.tally(insideAt).Load() != 0 {
			return errors.New("a writer is inside with a reader")
		}
		return m.RUnlock()
	},
	"wait": func(w *world, table *park.WaitTable, n int) error {
		m := xsync.OpenMutex(w.memory(table, n))
		c := xsync.OpenCond(w.memory(table, n+1), m)
		if _, err := lockMutex(m); err != nil {
			return err
		}
		err := c.Wait(forever)
		if errors.Is(err, errs.ErrOwnerDied) { // the wait ended with a signal
			_, err = lockMutex(m)
		}
		if err != nil {
			return err
		}
		return m.Unlock()
	},
	"permits": func(w *world, table *park.WaitTable, n int) error {
		s := xsync.OpenSemaphore(w.memory(table, n))
		if err := s.Acquire(forever); err != nil {
			return err
		}
		return s.Release()
	},
	"bpermits": func(w *world, table *park.WaitTable, n int) error {
		b := xsync.OpenBounded(w.memory(table, n))
		if err := b.Acquire(forever); err != nil {
			return err
		}
		return alone(w, b.Release)
	},
	"arrive": func(w *world, table *park.WaitTable, n int) error {
		_, err := xsync.OpenBarrier(w.memory(table, n)).Wait(forever, func() error { return nil })
		if errors.Is(err, errs.ErrBroken) {
			err = nil
		}
		return err
	},
	"pass": func(w *world, table *park.WaitTable, n int) error {
		_, err := xsync.OpenBarrier(w.memory(table, n)).Wait(forever, func() error { return nil })
		return err
	},
	"event": func(w *world, table *park.WaitTable, n int) error {
		return xsync.OpenEvent(w.memory(table, n)).Wait(forever)
	},
	"do": func(w *world, table *park.WaitTable, n int) error {
		return xsync.OpenOnce(w.memory(table, n)).Do(forever, func() error { return nil })
	},
	"none": func(w *world, table *park.WaitTable, n int) error {
		return xsync.OpenWaitGroup(w.memory(table, n)).Wait(forever)
	},
}

// insideAt is the counter of goroutines inside an object that admits only one.
const insideAt = 1

func alone(w *world, leave func() error) error {
	in := w.tally(insideAt)
	if n := in.Add(1); n != 1 {
		return fmt.Errorf("%d are inside", n)
	}
	in.Add(^uint64(0))
	return leave()
}

var (
	aMutex     = []xsync.Kind{xsync.KindMutex}
	anRW       = []xsync.Kind{xsync.KindRWMutex}
	aCond      = []xsync.Kind{xsync.KindMutex, xsync.KindCond}
	aSemaphore = []xsync.Kind{xsync.KindSemaphore}
	aBounded   = []xsync.Kind{xsync.KindBounded}
	aBarrier   = []xsync.Kind{xsync.KindBarrier}
)

func makeMutex(s *stage)   { xsync.NewMutex(s.w.memory(s.root, s.n)) }
func makeRW(s *stage)      { xsync.NewRWMutex(s.w.memory(s.root, s.n)) }
func makeCond(s *stage)    { makeMutex(s); xsync.NewCond(s.w.memory(s.root, s.n+1), s.mutex()) }
func makeBarrier(s *stage) { xsync.NewBarrier(s.w.memory(s.root, s.n), 3) }

// makeWaited makes a goroutine wait for a Cond before the victim has the lock.
func makeWaited(s *stage) {
	makeCond(s)
	s.startHere("wait")
	s.untilWaits(hereSlot)
	s.startThere("wait")
	s.untilWaits(peerSlot)
}

func (s *stage) mutex() *xsync.Mutex         { return xsync.OpenMutex(s.w.memory(s.root, s.n)) }
func (s *stage) rw() *xsync.RWMutex          { return xsync.OpenRWMutex(s.w.memory(s.root, s.n)) }
func (s *stage) cond() *xsync.Cond           { return condOf(s.w, s.root, s.n) }
func (s *stage) semaphore() *xsync.Semaphore { return xsync.OpenSemaphore(s.w.memory(s.root, s.n)) }
func (s *stage) bounded() *xsync.Bounded     { return xsync.OpenBounded(s.w.memory(s.root, s.n)) }
func (s *stage) barrier() *xsync.Barrier     { return xsync.OpenBarrier(s.w.memory(s.root, s.n)) }

// signalOne signals with the lock held, and reports whether the lock had to be repaired.
func (s *stage) signalOne(all bool) (repaired bool) {
	m, c := s.mutex(), condOf(s.w, s.root, s.n)
	repaired, err := lockMutex(m)
	must(s.t, err)
	if all {
		must(s.t, c.Broadcast())
	} else {
		must(s.t, c.Signal())
	}
	must(s.t, m.Unlock())
	return repaired
}

func useMutex(s *stage) { s.use("lock") }
func useRW(s *stage)    { s.use("wlock"); s.use("rlock") }

func freeBounded(s *stage) {
	if n, err := s.bounded().Available(); n != 1 || err != nil {
		s.t.Errorf("%d of 1 permits are free, %v", n, err)
	}
	s.use("bpermits")
}

// replace makes the root arrive in place of a victim that died before it was counted.
func replace(s *stage) {
	b := s.barrier()
	state := shm.Word64(s.w.bytes(s.n), 40)
	until(s.t, "two parties, or the end of the phase", func() bool {
		n, err := b.Waiting()
		must(s.t, err)
		return n == 2 || state.Load() != 0
	})
	if state.Load() == 0 {
		must(s.t, actions["arrive"](s.w, s.root, s.n))
	}
}

// passes repairs the barrier, and makes three parties pass it twice.
func passes(s *stage) {
	b := s.barrier()
	if broken, err := b.Broken(); err != nil {
		s.t.Error(err)
	} else if broken {
		must(s.t, b.Reset())
	}

	for range 2 {
		s.errs = make(chan error, 2)
		s.startHere("pass")
		s.startThere("pass")
		s.errs <- actions["pass"](s.w, s.root, s.n)
		s.waiters.Wait()
		for range 2 {
			if err := <-s.errs; err != nil {
				s.t.Error("afterwards: ", err)
			}
		}

		s.pending--
		if l := s.hearPeer("pass"); l != "ok" {
			s.t.Error("afterwards: the peer: ", l)
		}
	}
}

var scenes = []scene{
	{name: "mutex lock", kinds: aMutex, make: makeMutex, op: "lock", check: useMutex},
	{name: "mutex lock, held", kinds: aMutex, op: "lock", here: "lock", there: "lock",
		make: func(s *stage) {
			makeMutex(s)
			must(s.t, s.mutex().Lock(forever))
		},
		release: func(s *stage) { must(s.t, s.mutex().Unlock()) }, check: useMutex},
	{name: "mutex unlock", kinds: aMutex, make: makeMutex, before: "take", op: "unlock", check: useMutex},
	{name: "mutex unlock, waited for", kinds: aMutex, make: makeMutex, before: "take", op: "unlock", here: "lock", there: "lock", check: useMutex},
	{name: "mutex recover", kinds: aMutex, op: "recover", check: useMutex,
		make: func(s *stage) {
			makeMutex(s)
			must(s.t, s.mutex().Lock(forever))
			xsync.Reap(xsync.KindMutex, s.w.bytes(s.n), rootSlot)
		}},
	{name: "rwmutex rlock", kinds: anRW, make: makeRW, op: "rlock", check: useRW},
	{name: "rwmutex rlock, held", kinds: anRW, op: "rlock", here: "rlock", there: "wlock",
		make: func(s *stage) {
			makeRW(s)
			must(s.t, s.rw().Lock(forever))
		},
		release: func(s *stage) { must(s.t, s.rw().Unlock()) }, check: useRW},
	{name: "rwmutex runlock, waited for", kinds: anRW, make: makeRW, before: "read", op: "runlock", here: "wlock", there: "wlock", check: useRW},
	{name: "rwmutex lock, read", kinds: anRW, op: "wlock", check: useRW,
		make: func(s *stage) {
			makeRW(s)
			must(s.t, s.rw().RLock(forever))
		},
		release: func(s *stage) { must(s.t, s.rw().RUnlock()) }},
	{name: "rwmutex lock, held", kinds: anRW, op: "wlock", here: "rlock", there: "wlock",
		make: func(s *stage) {
			makeRW(s)
			must(s.t, s.rw().Lock(forever))
		},
		release: func(s *stage) { must(s.t, s.rw().Unlock()) }, check: useRW},
	{name: "rwmutex unlock, waited for", kinds: anRW, make: makeRW, before: "write", op: "wunlock", here: "rlock", there: "wlock", check: useRW},
	// A signal that is sent while the victim waits goes to the victim first, because of its slot.
	// If the victim dies without the lock, the peer must get the signal.
	{name: "cond wait", kinds: aCond, make: makeCond, before: "take", op: "wait",
		release: func(s *stage) {
			s.startThere("wait")
			until(s.t, "waiting for the signal", func() bool { return s.w.mask(s.n+1, 0)>>peerSlot&1 != 0 })
			s.signalOne(false)
		},
		finish: func(s *stage) {
			if repaired, err := lockMutex(s.mutex()); err != nil {
				s.t.Error(err)
			} else if repaired {
				must(s.t, s.cond().Signal())
			}
			must(s.t, s.mutex().Unlock())
		}, check: useMutex},
	{name: "cond signal", kinds: aCond, make: makeWaited, before: "take", op: "signal",
		finish: func(s *stage) { s.signalOne(true) }, check: useMutex},
	{name: "cond broadcast", kinds: aCond, make: makeWaited, before: "take", op: "broadcast",
		finish: func(s *stage) { s.signalOne(true) }, check: useMutex},
	{name: "semaphore acquire", kinds: aSemaphore, op: "acquire", here: "permits", there: "permits",
		make:    func(s *stage) { xsync.NewSemaphore(s.w.memory(s.root, s.n), 0) },
		release: func(s *stage) { must(s.t, s.semaphore().Release()) },
		finish:  func(s *stage) { must(s.t, s.semaphore().Release()) }, // the victim may have had the other permit
		check:   func(s *stage) { s.use("permits") }},
	{name: "semaphore release", kinds: aSemaphore, before: "permit", op: "release", here: "permits", there: "permits",
		make:   func(s *stage) { xsync.NewSemaphore(s.w.memory(s.root, s.n), 1) },
		finish: func(s *stage) { must(s.t, s.semaphore().Release()) },
		check:  func(s *stage) { s.use("permits") }},
	{name: "bounded acquire", kinds: aBounded, op: "bacquire", here: "bpermits", there: "bpermits",
		make: func(s *stage) {
			xsync.NewBounded(s.w.memory(s.root, s.n), 1)
			must(s.t, s.bounded().Acquire(forever))
		},
		release: func(s *stage) { must(s.t, s.bounded().Release()) }, check: freeBounded},
	{name: "bounded release", kinds: aBounded, before: "bpermit", op: "brelease", here: "bpermits", there: "bpermits",
		make: func(s *stage) { xsync.NewBounded(s.w.memory(s.root, s.n), 1) }, check: freeBounded},
	{name: "barrier, the first", kinds: aBarrier, make: makeBarrier, op: "arrive", check: passes,
		release: func(s *stage) { s.startHere("arrive"); s.startThere("arrive") },
		finish:  replace},
	{name: "barrier, the last", kinds: aBarrier, make: makeBarrier, op: "arrive", here: "arrive", there: "arrive",
		finish: replace, check: passes},
	{name: "barrier reset", kinds: aBarrier, make: makeBarrier, op: "reset", here: "arrive", there: "arrive",
		finish: replace, check: passes},
	{name: "event set", kinds: []xsync.Kind{xsync.KindEvent}, op: "set", here: "event", there: "event",
		make:   func(s *stage) { xsync.NewEvent(s.w.memory(s.root, s.n)) },
		finish: func(s *stage) { must(s.t, xsync.OpenEvent(s.w.memory(s.root, s.n)).Set()) },
		check:  func(s *stage) { s.use("event") }},
	{name: "once", kinds: []xsync.Kind{xsync.KindOnce}, op: "do",
		make:  func(s *stage) { xsync.NewOnce(s.w.memory(s.root, s.n)) },
		check: func(s *stage) { s.use("do") }},
	{name: "waitgroup done", kinds: []xsync.Kind{xsync.KindWaitGroup}, op: "done", here: "none", there: "none",
		make: func(s *stage) { must(s.t, xsync.NewWaitGroup(s.w.memory(s.root, s.n)).Add(1)) },
		finish: func(s *stage) {
			g := xsync.OpenWaitGroup(s.w.memory(s.root, s.n))
			if n, err := g.Count(); err != nil || n > 1 {
				s.t.Error(n, err)
			} else if n == 1 {
				must(s.t, g.Add(-1))
			}
		},
		check: func(s *stage) { s.use("none") }},
}
