//go:build linux

package xsync_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/park"
	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// Masks of a Ring.
const (
	getters = iota
	putters
	joiners
)

// clientsOf calls f in several goroutines for each handle, and returns when they wait in one of the
// n-th object's wait queues.
func clientsOf(w *world, all []ring, tables []*park.WaitTable, n, mask, each int, f func(r ring, i int) error) (failures chan error) {
	failures = make(chan error, each*len(all))
	var bits uint64
	var began sync.WaitGroup
	began.Add(cap(failures))
	for i := range cap(failures) {
		go func() {
			began.Done()
			failures <- f(all[i%len(all)], i)
		}()
	}

	for _, l := range tables {
		bits |= 1 << (l.Slot() % 64)
	}
	began.Wait()
	for w.mask(n, mask)&bits != bits {
		runtime.Gosched()
	}

	return failures
}

func allAre(t *testing.T, what string, failures chan error, want error) {
	t.Helper()
	if !within(t, what, func() {
		for range cap(failures) {
			if err := <-failures; !errors.Is(err, want) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}) {
		t.FailNow()
	}
}

// rounds returns how often a race is run.
func rounds(n int) int {
	if testing.Short() {
		return n / 5
	}
	return n
}

// When a Ring ends, waiters in all processes learn that, and its records can still be received.
func TestRingEnds(t *testing.T) {
	w := newWorld(t)
	tables := w.waitTables(1, 2, 65)
	gets := func(r ring, _ int) error { _, err := r.get(forever); return err }
	puts := func(r ring, _ int) error { return r.put(forever, nil) }
	for n := range rounds(200) {
		all := w.rings(tables, 2*n, tight)
		failures := clientsOf(w, all, tables, 2*n, getters, 4, gets)
		if !all[0].End() || all[1].End() || !all[2].Ended() || !all[2].Drained() {
			t.Error("it has not ended once")
		}
		allAre(t, "getters", failures, errs.ErrClosed)
		if err := all[2].tryPut(nil); !errors.Is(err, errs.ErrClosed) {
			t.Error(err)
		}

		all = w.rings(tables, 2*n+1, tight)
		for range tight.Most {
			must(t, all[0].tryPut([]byte{1}))
		}

		failures = clientsOf(w, all, tables, 2*n+1, putters, 4, puts)
		all[0].End()
		allAre(t, "putters", failures, errs.ErrClosed)
		for i := range tight.Most {
			if all[1].Drained() {
				t.Error("drained")
			}
			if b, err := all[i%3].get(forever); err != nil || len(b) != 1 {
				t.Error(b, err)
			}
		}

		if _, err := all[1].get(forever); !errors.Is(err, errs.ErrClosed) || !all[1].Drained() {
			t.Error(err)
		}
	}
}

// If a Ring ends while its last records are being received, each waiter gets a record or learns of
// the end.
func TestRingEndsWithTheLastRecords(t *testing.T) {
	w := newWorld(t)
	tables := w.waitTables(1, 2, 65)

	for n := range rounds(500) {
		all := w.rings(tables, n, tight)
		var got atomic.Int32
		failures := clientsOf(w, all, tables[1:], n, getters, 3, func(r ring, _ int) error {
			_, err := r.get(forever)
			if err == nil {
				got.Add(1)
				return errs.ErrClosed
			}
			return err
		})

		must(t, all[0].tryPut(nil))
		must(t, all[0].tryPut(nil))
		all[0].End()
		allAre(t, "getters", failures, errs.ErrClosed)
		if got.Load() != 2 {
			t.Fatalf("%d of 2 records", got.Load())
		}
	}
}

// When the owner closes a Ring, waiters in all processes learn that. When another process closes
// the Ring, only the waiters of that process learn that.
func TestRingCloses(t *testing.T) {
	w := newWorld(t)
	tables := w.waitTables(1, 2, 65)

	for name, c := range map[string]struct {
		mask   int
		before func(r ring)
		waits  func(ctx context.Context, r ring) error
		then   func(r ring) error
	}{
		"get": {getters, func(ring) {},
			func(ctx context.Context, r ring) error { _, err := r.get(ctx); return err },
			func(r ring) error { return r.tryPut(nil) }},
		"put": {putters, func(r ring) { must(t, r.tryPut(nil)) },
			func(ctx context.Context, r ring) error { return r.put(ctx, nil) },
			func(r ring) error { _, err := r.tryGet(); return err }},
		"join": {joiners, func(r ring) { must(t, r.tryPut(nil)); _, _ = r.tryGet() },
			func(ctx context.Context, r ring) error { return r.Join(ctx) },
			func(r ring) error { return r.Done() }},
	} {
		t.Run(name, func(t *testing.T) {
			for n := range rounds(100) {
				all := w.rings(tables, n, single)
				c.before(all[0])
				failures := clientsOf(w, all[1:2], tables[1:2], n, c.mask, 4, func(r ring, _ int) error { return c.waits(forever, r) })
				other := clientsOf(w, all[2:], tables[2:], n, c.mask, 1, func(r ring, _ int) error { return c.waits(forever, r) })
				all[1].Close(false)
				allAre(t, "closed here", failures, errs.ErrClosed)
				for _, err := range []error{all[1].tryPut(nil), all[1].Done(), c.waits(forever, all[1])} {
					if !errors.Is(err, errs.ErrClosed) {
						t.Error(err)
					}
				}
				must(t, c.then(all[0]))
				allAre(t, "not closed there", other, nil)

				all = w.rings(tables, n, single)
				c.before(all[0])
				failures = clientsOf(w, all, tables, n, c.mask, 4, func(r ring, _ int) error { return c.waits(forever, r) })
				all[0].Close(true)
				allAre(t, "closed by its owner", failures, errs.ErrClosed)
				if !all[2].Ended() || all[2].End() {
					t.Error("it is open")
				}
			}
		})
	}
}

// A Ring counts the records that are not marked as done.
func TestRingDone(t *testing.T) {
	w := newWorld(t)
	tables := w.waitTables(1, 2, 65)
	all := w.rings(tables, 0, tight)
	must(t, all[1].Join(forever))
	over := func(r ring) {
		t.Helper()
		if err := r.Done(); !errors.Is(err, errs.ErrOverRelease) {
			t.Error(err)
		}
	}

	over(all[0])
	for n := range rounds(200) {
		for range 3 {
			must(t, all[0].put(forever, aRecord(rand.New(rand.NewPCG(1, 1)), n)))
		}
		over(all[1])
		for i := range 3 {
			_, err := all[i].get(forever)
			must(t, err)
		}

		failures := clientsOf(w, all, tables, 0, joiners, 2, func(r ring, _ int) error { return r.Join(forever) })
		for i := range 2 {
			must(t, all[i].Done())
		}

		for range 10 { // whatever wakes them
			w.mailboxes.RingAll()
			runtime.Gosched()
		}
		if len(failures) > 0 {
			t.Fatal("somebody has not waited for all")
		}
		must(t, all[2].Done())
		allAre(t, "joiners", failures, nil)
		over(all[2])
	}

	must(t, all[0].put(forever, nil))
	ctx, end := soon(t)
	late(t, "Join", all[0].Join(ctx), end)
	all[0].End() // records that were put must be marked as done nevertheless
	_, err := all[0].get(forever)
	must(t, err)
	failures := clientsOf(w, all, tables, 0, joiners, 2, func(r ring, _ int) error { return r.Join(forever) })
	must(t, all[1].Done())
	allAre(t, "joiners", failures, nil)
}

// Operations respect their contexts, and the Try methods do not wait.
func TestRingTries(t *testing.T) {
	w := newWorld(t)
	all := w.rings(w.waitTables(1, 2), 0, single)
	for _, r := range all {
		if _, err := r.tryGet(); !errors.Is(err, errs.ErrEmpty) {
			t.Error(err)
		}
		ctx, end := soon(t)
		_, err := r.get(ctx)
		late(t, "Get", err, end)
		must(t, r.tryPut([]byte("abc")))
		for _, large := range [][]byte{{}, make([]byte, 1000)} {
			if err := r.tryPut(large); !errors.Is(err, errs.ErrFull) {
				t.Error(err)
			}
			ctx, end = soon(t)
			late(t, "Put", r.put(ctx, large), end)
		}

		b, err := all[0].tryGet()
		if err != nil || string(b) != "abc" {
			t.Error(b, err)
		}
	}

	for _, err := range []error{errors.New("no room elsewhere"), nil} {
		fails := func([]byte) ([]byte, error) { return nil, err }
		if err == nil {
			fails = func(b []byte) ([]byte, error) { // another process is faster
				must(t, all[1].tryPut(nil))
				return all[0].spill(b)
			}
		}
		e := all[0].TryPut(make([]byte, 1000), fails, all[0].drop)
		if want := map[bool]error{true: errs.ErrFull, false: err}[err == nil]; !errors.Is(e, want) {
			t.Error(e)
		}
	}

	if n := all[0].shelf.len(); n > 0 {
		t.Errorf("%d records are left elsewhere", n)
	}
}

// A goroutine that stops waiting just when it is called for a record, or for room, leaves the
// record or the room to another goroutine, of its own process or of another.
func TestRingWaitEnds(t *testing.T) {
	w := newWorld(t)
	tables := w.waitTables(1, 2, 65)

	for _, what := range []string{"get", "put"} {
		for _, how := range []string{"context", "close"} {
			for name, other := range map[string]int{"same": 1, "other": 2} {
				t.Run(what+"/"+how+"/"+name, func(t *testing.T) {
					all := w.rings(tables, 0, single)
					for i := range rounds(map[int]int{1: 1500, 2: 300}[other]) {
						mask, wait, offer := getters, func(ctx context.Context, r ring) error { _, err := r.get(ctx); return err }, func() error { return all[0].tryPut(nil) }
						if what == "put" {
							mask, wait, offer = putters, func(ctx context.Context, r ring) error { return r.put(ctx, nil) }, func() error { _, err := all[0].tryGet(); return err }
							must(t, all[0].tryPut(nil))
						}

						ctx, cancel := context.WithCancel(t.Context())
						ended, gone := make(chan error, 1), make(chan error, 1)
						it, handle := w.openRing(tables[1], 0, single), all[1]
						handle.Ring = it
						go func() { ended <- wait(ctx, handle) }()
						go func() { gone <- wait(forever, all[other]) }()
						for w.mask(0, mask)>>(tables[other].Slot()%64)&1 == 0 || w.mask(0, mask)>>2&1 == 0 {
							runtime.Gosched()
						}
						spinning(i)
						go func() {
							if how == "close" {
								it.Close(false)
							} else {
								cancel()
							}
						}()
						spinning(i / 7)
						must(t, offer())
						if !within(t, "somebody gets it", func() {
							err := <-ended
							if err == nil { // the other goroutine gets another record
								must(t, offer())
							}
							must(t, <-gone)
						}) {
							t.FailNow()
						}

						cancel()
						if what == "put" {
							must(t, offer())
						}
						if all[0].Len() > 0 {
							t.Fatal("more than was put")
						}
					}
				})
			}
		}
	}
}

// The records that several processes receive are exactly those that several processes have put,
// each of them once. Records of one goroutine arrive in order.
func TestRingOrder(t *testing.T) {
	for name, b := range allBuilds {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tables := w.waitTables(1, 2, 65)
			all := w.rings(tables, 0, b)
			const each = 6
			times := rounds(2000)
			var puts, gets sync.WaitGroup
			var seen [each]atomic.Int64
			for i := range each {
				puts.Go(func() {
					r := rand.New(rand.NewPCG(uint64(i), 3))
					for n := range times {
						b := aRecord(r, 4+b.sizes(r))
						b[0], b[1], b[2], b[3] = byte(i), byte(n), byte(n>>8), byte(len(b))
						must(t, all[i%3].put(forever, b))
					}
				})
				gets.Go(func() {
					last := bytes.Repeat([]byte{255}, 2*each)
					for {
						b, err := all[(i+1)%3].get(forever)
						if errors.Is(err, errs.ErrClosed) {
							return
						}
						must(t, err)
						from := int(b[0])
						n, before := int16(b[1])|int16(b[2])<<8, int16(last[2*from])|int16(last[2*from+1])<<8
						if n <= before || byte(len(b)) != b[3] {
							t.Errorf("%d after %d", n, before)
						}
						copy(last[2*from:], b[1:3])
						seen[from].Add(1)
						must(t, all[i%3].Done())
					}
				})
			}

			within(t, "all is put and got", func() {
				puts.Wait()
				must(t, all[0].Join(forever))
				all[1].End()
				gets.Wait()
			})

			for i := range seen {
				if n := seen[i].Load(); n != int64(times) {
					t.Errorf("%d of %d", n, times)
				}
			}

			if n := all[0].shelf.len(); n > 0 {
				t.Errorf("%d records are left elsewhere", n)
			}
		})
	}
}

// A record that is put just when a Ring ends is in it, or the sender gets an error.
func TestRingEndMeetsPut(t *testing.T) {
	w := newWorld(t)
	tables := w.waitTables(1, 2)
	data := w.mem[32<<20:][:1<<20] // large, so that a put takes a long time
	large := make([]byte, 200<<10)
	shape := xsync.RingShape{Most: 4}
	refused := 0
	for n := range rounds(300) {
		m, _ := w.ringMemory(tables[0], n, 0)
		here := xsync.NewRing(m, data, shape)
		m.WaitTable = tables[1]
		there := xsync.OpenRing(m, data, shape)
		var began atomic.Bool
		put := make(chan error, 1)
		go func() {
			began.Store(true)
			put <- here.TryPut(large, nil, nil)
		}()

		for !began.Load() {
			runtime.Gosched()
		}
		spinning(n)
		there.End()
		got := 0
		rec, err := there.Get(forever, nil)
		for ; err == nil; rec, err = there.Get(forever, rec.Bytes[:0]) {
			got++
		}

		switch err := <-put; {
		case err == nil && got != 1:
			t.Fatalf("round %d: put, but not there any more", n)
		case err != nil && (got != 0 || !errors.Is(err, errs.ErrClosed)):
			t.Fatalf("round %d: %v, but it is there", n, err)
		case err != nil:
			refused++
		}
	}

	t.Logf("%d refused", refused)
}

// A sender that waits for more room than there is does not block senders that need less.
func TestRingRoomForTheSmall(t *testing.T) {
	w := newWorld(t)
	tables := w.waitTables(1, 2, 65)

	for name, order := range map[string][3]int{"first": {0, 1, 2}, "last": {1, 2, 0}} {
		t.Run(name, func(t *testing.T) {
			for n := range rounds(100) {
				all := w.rings(tables, n, patient)
				quarter, small := make([]byte, patient.size/4-8), make([]byte, 100)
				count := 0
				for all[0].tryPut(small) == nil {
					count++
				}

				large, little := make(chan error, 1), make(chan error, 2)
				for _, who := range order {
					switch who {
					case 0:
						go func() { large <- all[1].put(forever, quarter) }()
					default:
						go func() { little <- all[who].put(forever, small) }()
					}
					for w.mask(n, putters) == 0 {
						runtime.Gosched()
					}
				}

				until(t, "all wait", func() bool { return w.mask(n, putters) == 1<<2|1<<1 })
				for range 2 {
					_, err := all[0].get(forever)
					must(t, err)
					if !within(t, "there is room for a small one", func() { must(t, <-little) }) {
						t.FailNow()
					}
				}
				for range 12 {
					_, err := all[0].get(forever)
					must(t, err)
				}
				within(t, "there is room for the large one", func() { must(t, <-large) })
			}
		})
	}
}

// A process that is stopped during a put and a get blocks no Try method, and no call whose context
// ends. Once it has died, it blocks no call at all.
func TestRingStopped(t *testing.T) {
	w := newWorld(t)
	tables := w.waitTables(1, 2)
	all := w.rings(tables, 0, tight)
	must(t, all[0].tryPut([]byte{1}))
	all[1].StopInside()
	within(t, "tries end", func() {
		if err := all[0].tryPut(nil); !errors.Is(err, errs.ErrFull) {
			t.Error(err)
		}
		if _, err := all[0].tryGet(); !errors.Is(err, errs.ErrEmpty) {
			t.Error(err)
		}

		ctx, end := soon(t)
		late(t, "Put", all[0].put(ctx, nil), end)
		ctx, end = soon(t)
		_, err := all[0].get(ctx)
		late(t, "Get", err, end)
	})

	put, got := make(chan error, 1), make(chan error, 1)
	go func() { put <- all[0].put(forever, []byte{2}) }()
	go func() { _, err := all[0].get(forever); got <- err }()
	w.reap(2, map[int]xsync.Kind{0: xsync.KindRing})
	within(t, "all go on", func() { must(t, <-put); must(t, <-got) })
	if b, err := all[0].tryGet(); err != nil || b[0] != 2 {
		t.Error(b, err)
	}
}

// The number of records may wrap around.
func TestRingGoesRound(t *testing.T) {
	w := newWorld(t)
	tables := w.waitTables(1, 2)

	for name, b := range allBuilds {
		for n := range 5 {
			all := w.rings(tables, n, b)
			all[0].Age(uint64(1<<42 - n))
			failures := clientsOf(w, all[1:], tables[1:], n, getters, 1, func(r ring, _ int) error { _, err := r.get(forever); return err })
			must(t, all[0].put(forever, make([]byte, b.size)))
			allAre(t, "getters", failures, nil)
			for i := range 4 {
				put := 0
				for ; all[1].tryPut(make([]byte, i*b.size/3)) == nil; put++ {
				}
				if put == 0 || all[1].Len() != put || b.Elsewhere && put != b.Most {
					t.Errorf("%s: %d records, %d put", name, all[1].Len(), put)
				}
				if i == 0 {
					must(t, all[0].Done())
				}

				for range put {
					_, err := all[0].get(forever)
					must(t, err)
				}
				failures := clientsOf(w, all[1:], tables[1:], n, joiners, 1, func(r ring, _ int) error { return r.Join(forever) })
				for range put {
					must(t, all[0].Done())
				}
				allAre(t, "joiners", failures, nil)
				if err := all[0].Done(); !errors.Is(err, errs.ErrOverRelease) {
					t.Error(err)
				}
			}

			all[0].End()
			if !all[1].Drained() {
				t.Error("not drained")
			}
		}
	}
}

// Ten thousand goroutines wait for records of a thousand Rings, or for room in them. They need no
// more threads than a few goroutines do, and no CPU time. All of them get what they wait for, or
// learn that the Ring has ended.
func TestRingMultitude(t *testing.T) {
	const rings, each = 1000, multitude / 1000
	b := build{4 * 32, xsync.RingShape{Most: 4, Elsewhere: true}}

	for name, c := range map[string]struct {
		full  bool
		waits func(r ring) error
		then  func(r ring) error
		want  error
	}{
		"get":     {false, func(r ring) error { _, err := r.get(forever); return err }, func(r ring) error { return r.put(forever, nil) }, nil},
		"put":     {true, func(r ring) error { return r.put(forever, nil) }, func(r ring) error { _, err := r.get(forever); return err }, nil},
		"get/end": {false, func(r ring) error { _, err := r.get(forever); return err }, func(r ring) error { r.End(); return nil }, errs.ErrClosed},
		"put/end": {true, func(r ring) error { return r.put(forever, nil) }, func(r ring) error { r.End(); return nil }, errs.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tables := w.waitTables(1, 2)
			var all [rings][]ring
			for n := range all {
				all[n] = w.rings(tables, n, b)
				for c.full && all[n][0].tryPut(nil) == nil {
				}
			}

			before := threads(t)
			var wg sync.WaitGroup
			var waiting atomic.Int64
			for i := range multitude {
				wg.Go(func() {
					waiting.Add(1)
					if err := c.waits(all[i%rings][i/rings%2]); !errors.Is(err, c.want) {
						t.Error(err)
					}
				})
			}

			until(t, "all wait", func() bool { return waiting.Load() == multitude })
			settle(t)
			if n := threads(t); n > before+8 {
				t.Errorf("%d threads, %d before", n, before)
			}

			within(t, "all get it", func() {
				for i := range multitude {
					must(t, c.then(all[i%rings][0]))
				}
				wg.Wait()
			})
		})
	}
}

// A process that died while it waited for a record, for room or for a lock does not take a wake-up
// from the next waiter.
func TestRingReap(t *testing.T) {
	w := newWorld(t)
	tables := w.waitTables(1, 2, 3) // the waiter in the slot after the waker's is called first
	get := func(r ring, _ int) error { _, err := r.get(forever); return err }
	put := func(r ring, _ int) error { return r.put(forever, nil) }
	for n, c := range []struct {
		at     int // of the mask
		full   bool
		inside bool
		waits  func(r ring, i int) error
	}{{8, false, false, get}, {16, true, false, put}, {128 + 8, true, true, get}, {64 + 8, false, true, put}} {
		all := w.rings(tables, n, single)
		if c.full {
			must(t, all[0].tryPut(nil))
		}
		if c.inside {
			all[0].StopInside()
		}

		for _, l := range tables[1:] {
			w.mailboxes.Occupy(l.Slot())
		}
		ended := []chan error{make(chan error, 1), make(chan error, 1)}
		for i, e := range ended {
			go func() { e <- c.waits(all[1+i], 0) }()
		}

		until(t, "both wait", func() bool { return shm.Word64(w.bytes(n), c.at).Load() == 1<<2|1<<3 })
		xsync.Reap(xsync.KindRing, w.bytes(n), 2)
		w.mailboxes.Vacate(2) // no waiter is told to look, so the next step wakes one
		switch {
		case c.inside:
			all[0].GoOn()
		case c.full:
			must(t, get(all[0], 0))
		default:
			must(t, put(all[0], 0))
		}

		within(t, "the living one goes on", func() { must(t, <-ended[1]) })
		all[1].Close(false) // the dead process is simulated in this one
		<-ended[0]
	}
}

// A goroutine that waits for the release of a spilled record does not take room from senders.
func TestAwaitReleasedTakesNoRoom(t *testing.T) {
	w := newWorld(t)
	r := w.rings(w.waitTables(1), 0, single)[0]
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- r.AwaitReleased(ctx, func() bool { return false }) }()
	runtime.Gosched()
	for range 50 {
		must(t, r.tryPut(nil))
		put := make(chan error, 1)
		go func() { put <- r.put(forever, nil) }()
		until(t, "it waits", func() bool { return w.mask(0, putters) != 0 })
		if _, err := r.get(forever); err != nil {
			t.Fatal(err)
		}
		within(t, "there is room", func() { must(t, <-put) })
		if _, err := r.get(forever); err != nil {
			t.Fatal(err)
		}
	}

	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}

	go func() { ended <- r.AwaitReleased(forever, func() bool { return false }) }()
	r.Close(false)
	within(t, "it ends with the ring", func() { must(t, <-ended) })
}
