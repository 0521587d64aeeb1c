//go:build linux && amd64

package xsync_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/park"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

func init() { roles["ringer"] = ringer }

// An order tells a ringer what to do with a Ring.
type order struct {
	how   string // "go", or "aim" if the ringer is to die at about that time
	kind  string
	id    uint64
	size  int
	ring  int
	build string
	delay int // until the death
}

func (o order) String() string {
	return fmt.Sprintln(o.how, o.kind, o.id, o.size, o.ring, o.build, o.delay)
}

// halfAt is 1 while the operation to be hit runs, and 2 when it is over.
const halfAt = 4

// ringer executes orders, one at a time, and answers.
func ringer(w *world, table *park.WaitTable) int {
	cancel := context.CancelFunc(func() {})
	open := map[string]*xsync.Ring{}
	for {
		line := readLine()
		if line == "cancel" {
			cancel()
			continue
		}

		var o order
		if _, err := fmt.Sscan(line, &o.how, &o.kind, &o.id, &o.size, &o.ring, &o.build, &o.delay); err != nil {
			return 10
		}

		at := fmt.Sprint(o.ring, o.build)
		ring := open[at]
		if ring == nil {
			ring = w.openRing(table, o.ring, modelled[o.build])
			open[at] = ring
		}
		cancel()
		ctx, stop := context.WithCancel(context.Background())
		cancel = stop
		rec := numbered(o.id, o.size)
		if o.how == "go" {
			go func() { answer(follow(ctx, ring, o.kind, rec)) }()
			continue
		}

		var ready, set atomic.Bool
		go func() {
			for ready.Store(true); !set.Load(); {
				runtime.Gosched()
			}
			spin(o.delay)
			_ = unix.Kill(unix.Getpid(), unix.SIGKILL)
		}()

		for !ready.Load() {
			runtime.Gosched()
		}
		set.Store(true)
		spin(100_000)
		w.tally(halfAt).Store(1)
		a := follow(ctx, ring, o.kind, rec)
		w.tally(halfAt).Store(2)
		answer(a)
	}
}

func spin(n int) {
	for i := range n {
		_ = i
	}
}

func answer(line string) { _, _ = os.Stdout.WriteString(line + "\n") }

func follow(ctx context.Context, r *xsync.Ring, kind string, b []byte) string {
	var rec xsync.Record
	var err error
	switch kind {
	case "put":
		err = r.Put(ctx, b, numberedPlace, func([]byte) {})
	case "try-put":
		err = r.TryPut(b, numberedPlace, func([]byte) {})
	case "get":
		rec, err = r.Get(ctx, nil)
	case "try-get":
		rec, err = r.TryGet(nil)
	case "done":
		err = r.Done()
	case "join":
		err = r.Join(ctx)
	case "end":
		r.End()
	}

	for text, known := range map[string]error{
		"closed": errs.ErrClosed, "full": errs.ErrFull, "empty": errs.ErrEmpty, "over": errs.ErrOverRelease, "canceled": context.Canceled,
	} {
		if errors.Is(err, known) {
			return text
		}
	}

	if rec.Bytes != nil && err == nil {
		id, size, e := numberOf(rec)
		if e == nil {
			return fmt.Sprint("got ", id, size)
		}
		err = e
	}
	if err != nil {
		return "bad: " + err.Error()
	}

	return "ok"
}

// modelled contains the Rings of the model test.
var modelled = map[string]build{"single": single, "tight": tight, "odd": odd, "patient": patient, "patient3": patient3,
	"large": {1 << 20, xsync.RingShape{Most: 9, Elsewhere: true}}}

// A lockstep is a Ring, its expected content, and the processes that use it.
type lockstep struct {
	*testing.T
	w     *world
	root  *park.WaitTable
	r     *rand.Rand
	ring  *xsync.Ring
	n     int
	build string

	in                [][]record // in the order of the puts; records of a group in any order
	puts, gots, dones uint64
	ended             bool
	before            uint64 // puts when the last order was given: later puts are concurrent

	players []*player
	spare   *player
	heard   chan saying
	unclear []saying // answers that become possible only with answers that have not been heard yet
	lastID  uint64
	aim     int // estimated time from an order to the middle of the order's execution
	stats   map[string]int
}

type record struct {
	id   uint64
	size int
}

// A player is a process that executes an order, or waits for one.
type player struct {
	*helper
	order *order
	gone  chan struct{}
}

type saying struct {
	p    *player
	line string
}

func (m *lockstep) newPlayer(slot int) *player {
	p := &player{helper: m.w.start(m, "ringer", slot), gone: make(chan struct{})}
	heard := m.heard // resolve overwrites m itself
	go func() {
		defer close(p.gone)
		for {
			line, err := p.out.ReadString('\n')
			if err != nil {
				return
			}
			heard <- saying{p, strings.TrimSpace(line)}
		}
	}()
	return p
}

// sizes returns the sizes of the records that should be in the Ring.
func (m *lockstep) sizes() (all []int) {
	for _, g := range m.in {
		for _, rec := range g {
			all = append(all, rec.size)
		}
	}
	return all
}

func (m *lockstep) room(size int) bool {
	b, all := modelled[m.build], m.sizes()
	return len(all) < b.Most && (b.Elsewhere || b.fits(all, size))
}

// can reports whether an order can be executed now, even if it then fails.
func (m *lockstep) can(o *order) bool {
	switch o.kind {
	case "put":
		return m.ended || m.room(o.size)
	case "get":
		return m.ended || len(m.in) > 0
	case "join":
		return m.dones == m.puts
	}
	return true
}

// somebodyCan reports whether an answer must come.
func (m *lockstep) somebodyCan() bool {
	return slices.ContainsFunc(m.players, func(p *player) bool { return p.order != nil && m.can(p.order) })
}

// put adds a record to the expected content.
func (m *lockstep) put(rec record) {
	if m.puts > m.before && len(m.in) > 0 {
		m.in[len(m.in)-1] = append(m.in[len(m.in)-1], rec)
	} else {
		m.in = append(m.in, []record{rec})
	}
	m.puts++
}

// got removes a record from the expected content, where the record must be one of the first.
func (m *lockstep) got(rec record) bool {
	if len(m.in) == 0 {
		return false
	}
	i := slices.Index(m.in[0], rec)
	if i < 0 {
		return false
	}
	m.in[0] = slices.Delete(m.in[0], i, i+1)
	if len(m.in[0]) == 0 {
		m.in = m.in[1:]
	}
	m.gots++
	return true
}

// answered reports whether an answer is possible. If so, it applies the answer.
func (m *lockstep) answered(p *player, line string) bool {
	o := p.order
	if o == nil {
		return false
	}

	var rec record
	ok := false
	switch put, get := strings.HasSuffix(o.kind, "put"), strings.HasSuffix(o.kind, "get"); {
	case line == "canceled":
		ok = o.how == "cancel"
	case line == "closed":
		ok = m.ended && (put || get && len(m.in) == 0)
	case line == "full":
		ok = o.kind == "try-put" && !m.room(o.size) && !m.ended
	case line == "empty":
		ok = o.kind == "try-get" && len(m.in) == 0 && !m.ended
	case line == "over":
		ok = o.kind == "done" && m.dones == m.gots
	case get:
		_, err := fmt.Sscan(line, new(string), &rec.id, &rec.size)
		ok = err == nil && m.got(rec)
	case line != "ok":
	case put && m.room(o.size) && !m.ended:
		m.put(record{o.id, o.size})
		ok = true
	case o.kind == "done" && m.dones < m.gots:
		m.dones++
		ok = true
	case o.kind == "join":
		ok = m.dones == m.puts
	case o.kind == "end":
		m.ended, ok = true, true
	}

	if ok {
		p.order = nil
	}
	return ok
}

// happens applies an order of a dead process if it can be executed, and reports whether it did.
func (m *lockstep) happens(o *order) bool {
	switch o.kind {
	case "put", "try-put":
		m.put(record{o.id, o.size})
	case "get", "try-get":
		return len(m.in) > 0 && m.got(m.in[0][0])
	case "done":
		m.dones++
	}
	return true
}

// apart returns by how many the records put, received and marked as done exceed the expected
// numbers.
func (m *lockstep) apart() (apart [3]int) {
	put, got, done := m.ring.Moved()
	return [3]int{int(put - m.puts), int(got - m.gots), int(done - m.dones)}
}

func (m *lockstep) fail(what string) {
	m.Helper()
	for _, p := range m.players {
		if p.order != nil {
			m.Logf("slot %d: %v", p.slot, *p.order)
		}
	}
	m.Logf("unclear: %v", m.unclear)
	m.Logf("%s, ended: %v, in it: %v, put, got and dealt with too much: %v, %+v", m.build, m.ended, m.in, m.apart(), m.stats)
	m.Logf("%x", m.w.bytes(m.n)[:xsync.RingSize])
	m.Fatal(what)
}

// hear receives an answer if one comes soon enough, and applies all answers that have become
// possible.
func (m *lockstep) hear(soon time.Duration) bool {
	m.Helper()
	select {
	case s := <-m.heard:
		if strings.HasPrefix(s.line, "bad") || s.p.order == nil {
			m.fail(fmt.Sprintf("slot %d: %q", s.p.slot, s.line))
		}
		m.unclear = append(m.unclear, s)
		m.clear()
		return true
	case <-time.After(soon):
		return false
	}
}

// clear applies the answers that have become possible, and reports whether there were any.
func (m *lockstep) clear() (any bool) {
	for i := 0; i < len(m.unclear); i++ {
		if s := m.unclear[i]; m.answered(s.p, s.line) {
			m.unclear = slices.Delete(m.unclear, i, i+1)
			i, any = -1, true
		}
	}
	return any
}

// hearFrom waits for a player's answer.
func (m *lockstep) hearFrom(p *player) {
	m.Helper()
	for p.order != nil {
		if !m.hear(never) {
			m.fail(fmt.Sprintf("slot %d does not answer", p.slot))
		}
	}
}

// settle waits for all answers that must come. After that, the Ring must be as expected, with or
// without the order of a dead process.
func (m *lockstep) settle(dead *player) {
	m.Helper()
	m.clear()
	for deadline := time.Now().Add(never); ; {
		unsure := dead != nil && dead.order != nil && !slices.ContainsFunc(m.unclear, func(s saying) bool { return s.p == dead })
		switch {
		case !unsure && len(m.unclear) == 0 && !m.somebodyCan() && m.apart() == [3]int{}:
			return
		case m.hear(100 * time.Microsecond):
		case unsure && m.resolve(dead):
			return
		}
		if time.Now().After(deadline) {
			m.fail("in vain: the Ring is as it should be")
		}
	}
}

// resolve reports whether the Ring is as expected, with or without the order of a dead process.
func (m *lockstep) resolve(dead *player) bool {
	if len(m.unclear) == 0 && m.apart() == [3]int{} {
		return !m.somebodyCan()
	}
	before := *m
	m.in = slices.Clone(m.in)
	for i := range m.in {
		m.in[i] = slices.Clone(m.in[i])
	}

	happened := m.happens(dead.order)
	if happened && m.clear() { // the other answers require it
		dead.order = nil
		return false
	}
	if !happened || len(m.unclear) > 0 || m.apart() != [3]int{} || m.somebodyCan() {
		*m = before
		return false
	}
	*m = before

	// Another process that waits for the same thing may have been faster but not have answered yet.
	for _, p := range m.players {
		if p.order != nil && strings.HasSuffix(dead.order.kind, p.order.kind) {
			m.cancel(p)
			m.hearFrom(p)
		}
	}
	if m.apart() != [3]int{} {
		m.stats["happened"]++
		m.happens(dead.order)
	}

	dead.order = nil
	return m.apart() == [3]int{} && !m.somebodyCan()
}

func (m *lockstep) cancel(p *player) {
	p.order.how = "cancel"
	p.say("cancel")
}

// tell gives an order to a player.
func (m *lockstep) tell(p *player, how, kind string) {
	m.lastID++
	m.before = m.puts
	b := modelled[m.build]
	size := max(b.sizes(m.r), 8)
	for i := 0; i < 3 && how == "aim"; i++ {
		size = max(size, b.sizes(m.r)) // a larger record, so that it takes longer
	}
	p.order = &order{how, kind, m.lastID, size, m.n, m.build, m.aim/2 + m.r.IntN(m.aim)}
	_, _ = fmt.Fprint(p.in, *p.order)
}

// rest makes all players stop waiting.
func (m *lockstep) rest() {
	for _, p := range m.players {
		if p.order != nil {
			m.cancel(p)
		}
	}
	for _, p := range m.players {
		m.hearFrom(p)
	}
}

// renew creates a new Ring.
func (m *lockstep) renew() {
	m.rest()
	names := slices.Sorted(maps.Keys(modelled))
	m.n = (m.n + 1) % 3000
	m.build = names[m.r.IntN(len(names))]
	if m.r.IntN(3) == 0 {
		m.build = "large"
	}
	m.ring = m.w.newRing(m.root, m.n, modelled[m.build])
	m.in, m.puts, m.gots, m.dones, m.ended = nil, 0, 0, 0, false
}

// busy returns the number of players that are waiting.
func (m *lockstep) busy() (n int) {
	for _, p := range m.players {
		if p.order != nil {
			n++
		}
	}
	return n
}

// look receives all records, compares them, and puts them back.
func (m *lockstep) look() {
	m.rest()
	var there []record
	for {
		rec, err := m.ring.TryGet(nil)
		if err != nil {
			break
		}
		id, size, err := numberOf(rec)
		must(m, err)
		if !m.got(record{id, size}) {
			m.fail(fmt.Sprintf("%d, of %d bytes, is there", id, size))
		}
		there = append(there, record{id, size})
	}
	if len(m.in) > 0 {
		m.fail("not all are there")
	}

	for _, rec := range there {
		if m.ended {
			break
		}
		must(m, m.ring.TryPut(numbered(rec.id, rec.size), numberedPlace, nil))
		m.before = m.puts
		m.put(rec)
	}

	m.settle(nil)
}

// kill kills a player during an operation, or while it waits and another player provides what it
// waits for.
func (m *lockstep) kill(i int) {
	p := m.players[i]
	if slices.ContainsFunc(m.in, func(g []record) bool { return len(g) > 1 }) {
		m.look() // the test must know which record is lost
	}

	if p.order == nil {
		m.w.tally(halfAt).Store(0)
		kinds := []string{"put", "put", "put", "get", "get", "get", "try-put", "try-get", "done", "join", "end"}
		m.tell(p, "aim", kinds[m.r.IntN(len(kinds))])
		_ = p.cmd.Wait()
	} else {
		m.stats["waits"]++
		j := m.r.IntN(len(m.players))
		kind := map[string]string{"put": "get", "get": "put", "join": "done"}[p.order.kind]
		if m.players[j].order == nil {
			m.stats["waits, and may go on"]++
			m.tell(m.players[j], "go", kind)
			spin(m.r.IntN(200_000))
		}
	}

	p.helper.kill()
	<-p.gone
	if p.order.how == "aim" {
		switch half := m.w.tally(halfAt).Load(); {
		case half == 0:
			m.stats["aimed, too early"]++
			m.aim = min(m.aim+m.aim/20, 100_000)
		case half == 2:
			m.stats["aimed, too late"]++
			m.aim = max(m.aim-m.aim/20, 1000)
		case m.can(p.order):
			m.stats["hit within"]++
		default:
			m.stats["hit waiting"]++
		}
	}

	for len(m.heard) > 0 { // the player may have answered
		m.hear(never)
	}
	m.players[i] = m.spare
	m.w.reap(p.slot, map[int]xsync.Kind{m.n: xsync.KindRing})
	if p.order != nil && p.order.kind == "end" {
		m.ended = m.ring.Ended()
		p.order = nil
	}

	m.settle(p)
	m.spare = m.newPlayer(p.slot)
}

// Several processes use a Ring as they are told, and some of them die during an operation. The Ring
// always behaves like a queue, with or without the operation of a dead process, and all other
// processes go on.
func TestRingModel(t *testing.T) {
	seed := *killsSeed
	if seed == 0 {
		seed = rand.Uint64()
	}

	t.Logf("-xsync.seed=%d", seed)
	w := newWorld(t)
	m := &lockstep{T: t, w: w, root: w.waitTables(rootSlot)[0], r: rand.New(rand.NewPCG(seed, 0)), heard: make(chan saying, 100), aim: 10_000, stats: map[string]int{}}
	for slot := range 4 {
		m.players = append(m.players, m.newPlayer(2+slot))
	}

	m.spare = m.newPlayer(6)
	m.renew()
	for killed := 0; killed < 5**kills; {
		p := m.players[m.r.IntN(len(m.players))]
		switch x := m.r.IntN(100); {
		case x < 10, x < 20 && p.order != nil:
			m.kill(slices.Index(m.players, p))
			killed++
		case x < 12:
			m.look()
		case p.order != nil && (x < 30 || m.busy() == len(m.players)):
			m.cancel(p)
			m.hearFrom(p)
		case p.order == nil:
			kinds := []string{"put", "put", "get", "get", "try-put", "try-get", "done", "done", "join"}
			more := []string{"put", "get"}[m.stats["orders"]/40%2] // so that several players wait for the same thing
			kinds = append(kinds, more, more, more, more, more, more)
			kind := kinds[m.r.IntN(len(kinds))]
			if m.r.IntN(60) == 0 {
				kind = "end"
			}
			m.tell(p, "go", kind)
			m.stats["orders"]++
			m.stats["most wait"] = max(m.stats["most wait"], m.busy())
			m.settle(nil)
		}

		if m.ended && len(m.in) == 0 && m.r.IntN(5) == 0 {
			m.renew()
		}
	}

	m.look()
	t.Logf("%d deaths: %v", 5**kills, m.stats)
}
