//go:build linux

package manager_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/manager"
	"github.com/go-multiprocessing/mp/mptest"
)

var (
	chaosKills = flag.Int("manager.kills", 20, "TestChaos: how many clients are killed")
	chaosSeed  = flag.Uint64("manager.seed", 0, "TestChaos: seed; 0: a random one")
)

// chaos is the argument of the clients: the objects, and the counts in which they record their
// progress. A client counts an operation in Begun before it starts and in Done after it has ended.
// So when a client dies, at most one operation of each kind is undecided.
type chaos struct {
	Slot     int
	Begun    *ipc.Array[int64]
	Done     *ipc.Array[int64]
	Got      *ipc.Array[int64] // how many times each element was received, by the element's number
	Dict     *manager.Dict[string, int64]
	List     *manager.List[[2]int64]
	Set      *manager.Set[int64]
	Queue    *manager.Queue[int64]
	Lock     *manager.Mutex
	Pair     [2]*manager.Value[int64]
	Permits  *manager.BoundedSemaphore
	Nested   *manager.Dict[string, *manager.List[int64]]
	Deadline int64
}

// The kinds of operations, which index the counts of a slot.
const (
	chaosSet = iota
	chaosUpdate
	chaosAppend
	chaosAdd
	chaosPut
	chaosGet
	chaosPair
	chaosNested
	chaosKinds

	chaosSlots    = 4
	chaosPermits  = 3
	chaosElements = 1 << 20
)

func (c chaos) at(kind int) int { return c.Slot*chaosKinds + kind }

// do performs one operation of a kind and counts it.
func (c chaos) do(ctx context.Context, kind int) error {
	begun, done := c.Begun.Slice(), c.Done.Slice()
	i := c.at(kind)
	n := begun[i] + 1
	begun[i] = n
	if err := c.operation(ctx, kind, n); err != nil {
		return fmt.Errorf("kind %d: %w", kind, err)
	}
	done[i]++
	return nil
}

func (c chaos) operation(ctx context.Context, kind int, n int64) error {
	me := fmt.Sprint(c.Slot)
	switch kind {
	case chaosSet:
		return c.Dict.Set(ctx, me, n)
	case chaosUpdate:
		_, err := manager.Update(ctx, c.Dict, "all", plus64, 1)
		return err
	case chaosAppend:
		_, err := c.List.Append(ctx, [2]int64{int64(c.Slot), n})
		return err
	case chaosAdd:
		_, err := c.Set.Add(ctx, int64(c.Slot)<<32|n)
		return err
	case chaosPut:
		return c.Queue.Put(ctx, n<<4|int64(c.Slot))
	case chaosGet:
		v, err := c.Queue.TryGet(ctx)
		if errors.Is(err, ipc.ErrEmpty) {
			return nil
		}
		if err == nil {
			c.Got.Slice()[v]++
		}
		return err
	case chaosPair:
		return c.pair(ctx)
	}

	l, err := manager.NewList(ctx, c.manager(), []int64{n})
	if err == nil {
		err = c.Nested.Set(ctx, me, l)
	}

	return errors.Join(err, l.Close())
}

var plus64 = manager.Function("plus64", func(_ context.Context, n, by int64) (int64, error) { return n + by, nil })

// manager returns the manager that has the objects.
func (c chaos) manager() *manager.Manager { return chaosManager }

var chaosManager *manager.Manager

// pair adds to each of two values, with the lock and a permit held.
func (c chaos) pair(ctx context.Context) error {
	if err := c.Permits.Acquire(ctx); err != nil {
		return err
	}

	err := c.Lock.Lock(ctx)
	for errors.Is(err, ipc.ErrOwnerDied) {
		err = c.Lock.Recover(ctx, func() error { return c.repair(ctx) })
		if err == nil {
			err = c.Lock.Lock(ctx)
		}
	}
	if err != nil {
		return err
	}
	a, err := c.Pair[0].Load(ctx)
	b, err2 := c.Pair[1].Load(ctx)
	if a != b {
		return fmt.Errorf("%d and %d under the lock", a, b)
	}

	return errors.Join(err, err2, c.Pair[0].Store(ctx, a+1), c.Pair[1].Store(ctx, b+1), c.Lock.Unlock(ctx), c.Permits.Release(ctx))
}

func (c chaos) repair(ctx context.Context) error {
	a, err := c.Pair[0].Load(ctx)
	return errors.Join(err, c.Pair[1].Store(ctx, a))
}

type chaosArg struct {
	C chaos
	M *manager.Manager
}

var wreak = mp.RegisterAction("wreak", func(ctx context.Context, a chaosArg) error {
	chaosManager = a.M
	r := rand.New(rand.NewPCG(rand.Uint64(), 0))
	for ctx.Err() == nil && time.Now().UnixNano() < a.C.Deadline {
		if err := a.C.do(ctx, r.IntN(chaosKinds)); err != nil {
			return err
		}
	}
	return nil
})

// Clients that use objects of all kinds die at random. Each operation that they counted as done was
// performed exactly once. Beyond these, only an operation that was in progress when a client died
// may have been performed. The locks and permits of dead clients are free again, and other clients
// notice nothing.
func TestChaos(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := t.Context()
	seed := *chaosSeed
	if seed == 0 {
		seed = rand.Uint64()
	}

	t.Logf("-manager.seed=%d", seed)
	undecided, known, settled = [chaosKinds]int64{}, [chaosSlots * chaosKinds]int64{}, [chaosSlots * chaosKinds]int64{}
	r := rand.New(rand.NewPCG(seed, 0))
	m := start(t, manager.Config{Linger: time.Millisecond})
	c := chaos{
		Begun: must(ipc.NewArray[int64](chaosSlots * chaosKinds)), Done: must(ipc.NewArray[int64](chaosSlots * chaosKinds)),
		Got:  must(ipc.NewArray[int64](chaosElements)),
		Dict: must(manager.NewDict[string, int64](ctx, m)), List: must(manager.NewList[[2]int64](ctx, m, nil)), Set: must(manager.NewSet[int64](ctx, m, nil)),
		Queue: must(manager.NewQueue[int64](ctx, m, 0)), Lock: must(manager.NewMutex(ctx, m)), Permits: must(manager.NewBoundedSemaphore(ctx, m, chaosPermits)),
		Pair:   [2]*manager.Value[int64]{must(manager.NewValue(ctx, m, int64(0))), must(manager.NewValue(ctx, m, int64(0)))},
		Nested: must(manager.NewDict[string, *manager.List[int64]](ctx, m)), Deadline: time.Now().Add(time.Hour).UnixNano(),
	}

	defer func() { _, _, _ = c.Begun.Close(), c.Done.Close(), c.Got.Close() }()
	objects := stats(t, m).Objects
	var clients [chaosSlots]*mp.Process[struct{}]
	begin := func(slot int) {
		c.Slot = slot
		p, err := mp.NewProcess(wreak, chaosArg{c, m}, mp.ProcessConfig{Output: mp.Output{Stderr: io.Discard}})
		if err == nil {
			err = p.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		clients[slot] = p
	}

	for slot := range clients {
		begin(slot)
	}

	end := func(slot int) {
		t.Helper()
		_ = clients[slot].Kill()
		var w *mp.WorkerError
		if _, err := clients[slot].Wait(ctx); !errors.As(err, &w) || w.Signal == 0 {
			t.Fatalf("slot %d ended by itself: %v", slot, err)
		}
	}

	for killed := range *chaosKills {
		slot := r.IntN(chaosSlots)
		time.Sleep(time.Duration(r.IntN(20_000)) * time.Microsecond) // a random moment
		end(slot)
		c.settle(t, slot)
		if killed%10 == 9 {
			for other := range clients {
				if other != slot {
					end(other)
					c.settle(t, other)
				}
			}

			until(t, "all have gone", func() bool { return stats(t, m).Clients == 1 })
			c.check(ctx, t)
			until(t, "their objects have gone", func() bool { return stats(t, m).Objects <= objects+chaosSlots })
			for other := range clients {
				if other != slot {
					begin(other)
				}
			}
		}
		begin(slot)
	}

	for slot := range clients {
		end(slot)
	}
}

var (
	// undecided is how many operations of a kind dead clients may or may not have performed.
	undecided [chaosKinds]int64
	// known is the last operation of a slot and kind that is certain to have been performed:
	// several clients in a row may die and leave the next operation undecided. settled is how many
	// operations counted as done when the last of these clients died.
	known, settled [chaosSlots * chaosKinds]int64
)

// settle counts the operations that the client of a slot left undecided when it died.
func (c chaos) settle(t *testing.T, slot int) {
	c.Slot = slot
	for kind := range chaosKinds {
		i := c.at(kind)
		begun, done := c.Begun.Slice(), c.Done.Slice()
		if done[i] > settled[i] {
			known[i] = done[i]
		}
		if n := begun[i] - done[i]; n != 0 {
			undecided[kind]++
			done[i]++ // counts as done from now on, whether or not it was performed
		}
		settled[i] = done[i]
	}
}

// check compares the objects with the counts. No client may use the objects meanwhile.
func (c chaos) check(ctx context.Context, t *testing.T) {
	t.Helper()
	var done [chaosKinds]int64
	last := map[int64]int64{}
	for slot := range chaosSlots {
		c.Slot = slot
		for kind := range chaosKinds {
			done[kind] += c.Done.Slice()[c.at(kind)]
		}
		if n, least := c.Done.Slice()[c.at(chaosSet)], known[c.at(chaosSet)]; n > 0 {
			if v, _, err := c.Dict.Get(ctx, fmt.Sprint(slot)); err != nil || v < least || v > n {
				t.Errorf("slot %d has set %d, %d for sure, and %d is there: %v", slot, n, least, v, err)
			}
		}
		if n, least := c.Done.Slice()[c.at(chaosNested)], known[c.at(chaosNested)]; least > 0 {
			l, ok, err := c.Nested.Get(ctx, fmt.Sprint(slot))
			if err != nil || !ok {
				t.Fatal(slot, ok, err)
			}
			if v, err := l.Get(ctx, 0); err != nil || v < least || v > n {
				t.Errorf("slot %d has nested %d, %d for sure, and %d is there: %v", slot, n, least, v, err)
			}
			_ = l.Close()
		}
	}

	between := func(kind int, n int64) {
		t.Helper()
		if n > done[kind] || n < done[kind]-undecided[kind] {
			t.Errorf("kind %d: %d are there of %d, of which %d are undecided", kind, n, done[kind], undecided[kind])
		}
	}

	n, _, err := c.Dict.Get(ctx, "all")
	between(chaosUpdate, n)
	elements, err2 := c.List.Copy(ctx)
	for _, e := range elements {
		if e[1] <= last[e[0]] {
			t.Errorf("slot %d: %d after %d", e[0], e[1], last[e[0]])
		}
		last[e[0]] = e[1]
	}

	between(chaosAppend, int64(len(elements)))
	added, err3 := c.Set.Len(ctx)
	between(chaosAdd, int64(added))
	a, err4 := c.Pair[0].Load(ctx)
	between(chaosPair, a)
	there := int64(0)
	for {
		v, err := c.Queue.TryGet(ctx)
		if err != nil {
			break
		}
		c.Got.Slice()[v]++
		there++
	}

	got := int64(0)
	for v, n := range c.Got.Slice() {
		if n > 1 {
			t.Errorf("%d was got %d times", v, n)
		}
		got += n
	}

	if n := done[chaosPut] - undecided[chaosPut] - undecided[chaosGet]; got < n || got > done[chaosPut] {
		t.Errorf("%d were got of %d, of which %d may not have been put, and %d may be lost", got, done[chaosPut], undecided[chaosPut], undecided[chaosGet])
	}

	if free, err := c.Permits.Available(ctx); free != chaosPermits || err != nil {
		t.Error(free, "permits", err)
	}

	if err := errors.Join(err, err2, err3, err4); err != nil {
		t.Error(err)
	}
	t.Logf("done: %v, of which undecided: %v", done, undecided)
}
