//go:build linux

package link

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// testMessage is the maximum size of a message in these tests.
const testMessage = 64 << 20

func newLink(t testing.TB) *Link {
	t.Helper()
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// newPort returns a worker's end of l in this process, with its own descriptors. Serve is not
// running, so the port gets no messages over the socket.
func newPort(t testing.TB, l *Link) *Port {
	t.Helper()
	dup := func(i int) int {
		fd, err := syscall.Dup(l.ChildFiles()[i])
		if err != nil {
			t.Fatal(err)
		}
		return fd
	}

	p := &Port{mem: l.mem, sock: os.NewFile(uintptr(dup(0)), "worker"), payloads: map[uint32][]byte{}}
	p.cond.L = &p.mu
	p.out.w = p.sock
	doorbell := dup(3)
	p.waker = ringer{l.mem.word32(offDoorbell), fdWriter(doorbell)}
	p.sleep = sleeper{armed: l.mem.word32(offAsleep), fd: dup(2)}
	if err := syscall.SetNonblock(p.sleep.fd, false); err != nil {
		t.Fatal(err)
	}

	p.timer = neverTimer()
	t.Cleanup(func() {
		p.timer.Stop()
		_ = p.sock.Close()
		_ = syscall.Close(doorbell)
		_ = syscall.Close(p.sleep.fd)
	})
	return p
}

func body(parts ...[]byte) (b []byte) {
	for _, p := range parts {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(p)))
		b = append(b, p...)
	}
	return b
}

// commit puts result records into the ring, as an honest or a lying worker does.
func commit(l *Link, pos uint64, b []byte, tail uint64) {
	l.mem.resRing().put(pos, b)
	l.mem.word64(offResTail).Store(tail)
}

func resultRecord(kind uint8, flags uint32, n, seq uint32, data []byte) []byte {
	word := uint32(kind)<<resultKindBit | flags | n
	if flags&resultExternal == 0 {
		seq = Seal(seq, word, data)
	}
	b := binary.LittleEndian.AppendUint32(nil, word)
	b = binary.LittleEndian.AppendUint32(b, seq)
	b = append(b, data...)
	return append(b, make([]byte, pad(len(data))-len(data))...)
}

// Result is one outcome of Results.
type Result struct {
	Seq  uint32
	Kind uint8
	Data []byte
}

func collect(t testing.TB, l *Link) (got []Result, err error) {
	err = each(l, func(r Result) {
		r.Data = bytes.Clone(r.Data)
		got = append(got, r)
	})
	return got, err
}

func each(l *Link, f func(Result)) error {
	var rs Results
	err := l.Collect(&rs)
	for _, run := range rs.Runs {
		for i, data := range run.Data {
			f(Result{run.Seq + uint32(i), run.Kind, data})
		}
	}
	return err
}

// Tasks must reach the worker and results must come back, even when the positions go around both
// rings many times and the task numbers wrap around.
func TestThereAndBack(t *testing.T) {
	l := newLink(t)
	l.startAt(math.MaxUint32 - 700)
	p := newPort(t, l)
	r := rand.New(rand.NewPCG(7, 8))
	next := l.seq
	id := uint64(1000)
	for round := range 400 {
		n := r.IntN(30) + 1
		var parts [][]byte
		total := 0
		for range n {
			b := make([]byte, r.IntN(2000))
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			parts = append(parts, b)
			total += len(b) + 4
		}

		tasks, room := l.Room()
		if tasks < n || room < total {
			t.Fatalf("round %d: room for %d tasks and %d bytes", round, tasks, room)
		}
		if seq := l.Stage(Chunk{Func: 3, Attempt: 2, ID: id, Count: n, Body: body(parts...)}); seq != next {
			t.Fatalf("task %d, not %d", seq, next)
		}
		if tail := l.mem.word64(offTaskTail).Load(); tail == l.taskTail {
			t.Fatal("a staged chunk is seen")
		}

		l.Publish()
		for k := range n {
			task, err := p.Next()
			if err != nil || task.Seq != next+uint32(k) || task.Func != 3 || task.Attempt != 2 || task.ID != id+uint64(k) || !bytes.Equal(task.In, parts[k]) {
				t.Fatalf("round %d, task %d: %+v, %v", round, k, task, err)
			}
			if !l.Begun(task.Seq) {
				t.Fatal("it has not begun")
			}
			if err := p.Finish(uint8(k%4), parts[n-1-k]); err != nil {
				t.Fatal(err)
			}
		}
		got, err := collect(t, l)
		if err != nil || len(got) != n {
			t.Fatalf("round %d: %d results, %v", round, len(got), err)
		}

		for k, g := range got {
			if g.Seq != next+uint32(k) || g.Kind != uint8(k%4) || !bytes.Equal(g.Data, parts[n-1-k]) {
				t.Fatalf("round %d, result %d: %d %d %d bytes", round, k, g.Seq, g.Kind, len(g.Data))
			}
		}
		next += uint32(n)
		id += uint64(n)
	}
}

// Next must return only tasks that were not taken back.
func TestNextSkipsTheVoid(t *testing.T) {
	l := newLink(t)
	l.startAt(math.MaxUint32 - 5)
	p := newPort(t, l)
	first := l.Stage(Chunk{Count: 10, Body: body(make([][]byte, 10)...)})
	l.Publish()
	for k := range uint32(3) {
		if task, err := p.Next(); err != nil || task.Seq != first+k {
			t.Fatalf("%+v, %v", task, err)
		}
	}
	if got := l.Void(first, first+10); got != first+3 {
		t.Fatalf("from %d on", got-first)
	}

	second := l.Stage(Chunk{Count: 1, Body: body([]byte("x"))})
	l.Publish()
	if task, err := p.Next(); err != nil || task.Seq != second || string(task.In) != "x" {
		t.Fatalf("%+v, %v", task, err)
	}

	if err := l.Stop(); err != nil {
		t.Fatal(err)
	}
	if task, err := p.Next(); err == nil {
		t.Fatalf("after the stop: %+v", task)
	}
}

func TestRoomCountsTasks(t *testing.T) {
	l := newLink(t)
	p := newPort(t, l)
	const n = 1000
	for i := range MaxTasks / n {
		if tasks, _ := l.Room(); tasks != MaxTasks-i*n {
			t.Fatalf("room for %d tasks with %d on their way", tasks, i*n)
		}
		l.Stage(Chunk{Count: n, Body: body(make([][]byte, n)...)})
	}

	l.Publish()
	for range n {
		if _, err := p.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Next(); err != nil { // passes the first chunk
		t.Fatal(err)
	}
	if tasks, _ := l.Room(); tasks != MaxTasks-(MaxTasks/n-1)*n {
		t.Errorf("room for %d tasks after a chunk has passed", tasks)
	}
}

// A position in the task head must be ignored unless a chunk ends there.
func TestHostileTaskHead(t *testing.T) {
	for _, base := range []uint64{0, 8 * (ringSize - 1), math.MaxInt64 &^ 7} {
		l := newLink(t)
		l.taskTail, l.seen = base, base
		l.mem.word64(offTaskHead).Store(base)
		var ends []uint64
		for range 5 {
			l.Stage(Chunk{Count: 10, Body: body(make([][]byte, 10)...)})
			ends = append(ends, l.taskTail)
		}

		l.Publish()
		check := func(head uint64, passed int) {
			t.Helper()
			l.mem.word64(offTaskHead).Store(head)
			tasks, room := l.Room()
			seen := base
			if passed > 0 {
				seen = ends[passed-1]
			}
			if wantTasks, wantRoom := MaxTasks-10*(5-passed), ringSize-int(l.taskTail-seen)-taskHead; tasks != wantTasks || room != wantRoom {
				t.Errorf("head %d: room for %d tasks and %d bytes, not %d and %d", head-base, tasks, room, wantTasks, wantRoom)
			}
		}

		check(base, 0)
		check(base+1, 0)
		check(ends[0]-1, 0)
		check(l.taskTail+1, 0)
		check(l.taskTail+ringSize, 0)
		check(math.MaxUint64, 0)
		check(ends[0], 1)
		check(base, 1) // a position that goes back
		check(0, 1)
		check(ends[1]+3, 2)
		check(ends[1]-3, 2)
		check(math.MaxUint64, 2)
		check(ends[4], 5)
		check(ends[4]+1, 5)
	}
}

func TestHostileResTail(t *testing.T) {
	for _, base := range []uint64{0, 8, ringSize - 8, 1 << 40} {
		for _, d := range []uint64{1, 7, 9, ringSize + 8, ringSize + 1, 1 << 32, 1<<63 + 8, math.MaxUint64, math.MaxUint64 - 7, math.MaxUint64 - ringSize} {
			l := newLink(t)
			l.resHead = base
			l.mem.word64(offResTail).Store(base + d)
			if got, err := collect(t, l); !errors.Is(err, errGarbage) || len(got) != 0 {
				t.Errorf("a tail of %d at %d: %d results, %v", d, base, len(got), err)
			}
		}

		l := newLink(t)
		l.resHead = base
		l.mem.word64(offResTail).Store(base)
		if got, err := collect(t, l); err != nil || len(got) != 0 {
			t.Errorf("nothing at %d: %d results, %v", base, len(got), err)
		}
	}
}

func TestHostileRecords(t *testing.T) {
	for name, c := range map[string]struct {
		b    []byte
		good int
	}{
		"longer than the ring":  {resultRecord(0, 0, resultLenMask, 1, nil), 0},
		"longer by one":         {resultRecord(0, 0, 9, 1, make([]byte, 8)), 0},
		"longer by padding":     {resultRecord(0, 0, 1, 1, nil), 0},
		"good, then bad":        {append(resultRecord(1, 0, 3, 1, []byte("abc")), resultRecord(0, 0, 1<<27, 2, nil)...), 1},
		"all bits but external": {bytes.Repeat([]byte{0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff}, 10), 0},
	} {
		for _, base := range []uint64{0, ringSize - 8, 5*ringSize - 16} {
			l := newLink(t)
			l.resHead = base
			commit(l, base, c.b, base+uint64(len(c.b)))
			got, err := collect(t, l)
			if !errors.Is(err, errGarbage) || len(got) != c.good {
				t.Errorf("%s: %d results, %v", name, len(got), err)
			}

			if c.good > 0 && (got[0].Seq != 1 || got[0].Kind != 1 || string(got[0].Data) != "abc") {
				t.Errorf("%s: %+v", name, got[0])
			}

			if again, err := collect(t, l); err != nil || len(again) != 0 {
				t.Errorf("%s: collected twice: %d, %v", name, len(again), err)
			}
		}
	}
}

// Whatever the ring contains, the outcome must be an error or results that lie within the committed
// bytes.
func TestScribbledRing(t *testing.T) {
	l := newLink(t)
	l.inbox.close() // so that Collect does not wait for bodies
	r := rand.New(rand.NewPCG(9, 10))
	garbage, good := 0, 0
	for range 1500 {
		n := 8 * r.IntN(200)
		if r.IntN(50) == 0 {
			n = ringSize
		}

		b := make([]byte, n)
		for i := 0; i+8 <= n; i += 8 {
			switch r.IntN(3) {
			case 0: // a plausible head
				binary.LittleEndian.PutUint32(b[i:], r.Uint32N(64)|r.Uint32N(8)<<resultKindBit)
			case 1:
				binary.LittleEndian.PutUint64(b[i:], r.Uint64()&^(1<<31))
			}
		}
		if n > 0 && r.IntN(10) == 0 {
			b[8*r.IntN(n/8)+3] |= 0x80 // external
		}

		pos := l.resHead
		commit(l, pos, b, pos+uint64(n))
		total := 0
		err := each(l, func(res Result) {
			total += resultHead + pad(len(res.Data))
			if res.Kind > 7 || cap(res.Data) != len(res.Data) {
				t.Fatalf("%d, cap %d", res.Kind, cap(res.Data))
			}
			good++
		})

		if err != nil {
			garbage++
		}
		if total > n || err == nil && total != n {
			t.Fatalf("%d bytes of results out of %d, %v", total, n, err)
		}
		if l.mem.word64(offResHead).Load() != pos+uint64(n) {
			t.Fatal("the room was not given back")
		}
	}
	if garbage < 100 || good < 500 {
		t.Errorf("%d errors and %d results: too few to tell anything", garbage, good)
	}
}

// Results must be parsed from a copy, so that the worker cannot change them afterward.
func TestResultsAreCopies(t *testing.T) {
	l := newLink(t)
	rec := resultRecord(0, 0, 3, 1, []byte("abc"))
	commit(l, 0, rec, uint64(len(rec)))
	if err := each(l, func(r Result) {
		clear(l.mem.resRing())
		if string(r.Data) != "abc" {
			t.Errorf("%q", r.Data)
		}
	}); err != nil {
		t.Fatal(err)
	}
}

func TestExternalResults(t *testing.T) {
	l := newLink(t)
	p := newPort(t, l)
	l.CloseChild()
	var served error
	var wg sync.WaitGroup
	wg.Go(func() { served = l.Serve(Events{}, testMessage) })

	big := bytes.Repeat([]byte{9}, MaxInline+1)
	l.Stage(Chunk{Count: 3, Body: body(nil, nil, nil)})
	l.Publish()
	for k := range 3 {
		if _, err := p.Next(); err != nil {
			t.Fatal(err)
		}
		data := []byte("small")
		if k == 1 {
			data = big
		}
		if err := p.Finish(0, data); err != nil {
			t.Fatal(err)
		}
	}

	got, err := collect(t, l)
	if err != nil || len(got) != 3 || string(got[0].Data) != "small" || !bytes.Equal(got[1].Data, big) || string(got[2].Data) != "small" {
		t.Fatalf("%d results, %v", len(got), err)
	}
	if l.inbox.unclaimed != 0 || len(l.inbox.payloads) != 0 {
		t.Errorf("%d bytes unclaimed", l.inbox.unclaimed)
	}

	// A result whose body never arrives is garbage, even if the socket is open.
	for range 3 {
		rec := resultRecord(0, resultExternal, 0, 77, nil)
		commit(l, l.resHead, rec, l.resHead+uint64(len(rec)))
		if got, err := collect(t, l); !errors.Is(err, errGarbage) || len(got) != 0 {
			t.Errorf("%d results, %v", len(got), err)
		}
	}
	_ = p.sock.Close()
	wg.Wait()
	if served == nil {
		t.Error("Serve ended without a reason")
	}
}

// fills waits until the inbox has stopped reading, and checks that it holds no more than one
// payload too many.
func (b *inbox) fills(t *testing.T, payload int) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.unclaimed <= maxUnclaimed {
		b.cond.Wait()
	}
	if b.unclaimed > maxUnclaimed+payload {
		t.Errorf("%d bytes are held", b.unclaimed)
	}
}

// Reading must stop when there are too many unclaimed payloads. The worker's death must end that
// state.
func TestUnclaimedPayloadsAreBounded(t *testing.T) {
	l := newLink(t)
	p := newPort(t, l)
	l.CloseChild()
	var wg sync.WaitGroup
	wg.Go(func() { _ = l.Serve(Events{}, testMessage) })
	chunk := make([]byte, 8<<20)
	sent := make(chan int, 100)
	wg.Go(func() {
		defer close(sent)
		for i := range 12 {
			if p.out.send(msgPayload, uint32(i), chunk) != nil {
				return
			}
			sent <- i
		}
	})

	l.inbox.fills(t, len(chunk))
	if b, ok := l.inbox.claim(3); !ok || len(b) != len(chunk) {
		t.Error("a payload is lost")
	}

	l.inbox.fills(t, len(chunk))
	l.EndReading()
	_ = p.sock.Close()
	wg.Wait()
	if _, ok := l.inbox.claim(1000); ok {
		t.Error("what was never sent was claimed")
	}
	if _, ok := l.inbox.claim(0); !ok {
		t.Error("what came before the end cannot be claimed after it")
	}
}

// If unclaimed payloads keep a claimed payload from arriving, the worker has violated the protocol.
func TestPayloadsInTheWay(t *testing.T) {
	l := newLink(t)
	p := newPort(t, l)
	l.CloseChild()
	var wg sync.WaitGroup
	var served error
	wg.Go(func() { served = l.Serve(Events{}, testMessage) })
	wg.Go(func() {
		chunk := make([]byte, 8<<20)
		for i := uint32(0); p.out.send(msgPayload, i, chunk) == nil; i++ {
		}
	})
	if _, ok := l.inbox.claim(1 << 20); ok {
		t.Error("what was never sent was claimed")
	}

	l.EndReading()
	l.CloseFiles()
	_ = p.sock.Close()
	wg.Wait()
	if served == nil {
		t.Error("Serve ended without a reason")
	}
}

// Messages that are in the socket when the worker dies must be read, however late that is.
func TestNothingIsLostAtDeath(t *testing.T) {
	l := newLink(t)
	p := newPort(t, l)
	for i := range 20 {
		if err := p.Log([]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	l.EndReading() // a descendant, here p, still holds the other end
	n := 0
	if err := l.Serve(Events{Log: func(b []byte) { n++ }}, testMessage); err == nil || n != 20 {
		t.Errorf("%d messages, %v", n, err)
	}
}

func TestServeRefusesGarbage(t *testing.T) {
	for name, send := range map[string]func(*Port) error{
		"hello":  func(p *Port) error { return p.out.send(msgHello, 0, []byte{1}) },
		"cancel": func(p *Port) error { return p.out.send(msgCancel, 0, nil) },
		"kind":   func(p *Port) error { _, err := p.sock.Write(head(99, 0, 0)); return err },
		"length": func(p *Port) error { _, err := p.sock.Write(head(msgLog, 0, 1<<60)); return err },
	} {
		l := newLink(t)
		p := newPort(t, l)
		if err := send(p); err != nil {
			t.Fatal(err)
		}

		err := l.Serve(Events{
			Hello: func(Hello) { t.Error(name, "was believed") }, Ready: func() { t.Error(name) },
			Failed: func([]byte) { t.Error(name) }, Log: func([]byte) { t.Error(name) },
		}, testMessage)
		if !errors.Is(err, errGarbage) {
			t.Errorf("%s: %v", name, err)
		}
		if _, ok := l.inbox.claim(0); ok {
			t.Errorf("%s: a payload", name)
		}
	}
}

func TestEventsArriveInOrder(t *testing.T) {
	l := newLink(t)
	p := newPort(t, l)
	l.CloseChild()
	for _, err := range []error{p.Hello(Hello{Build: "b", Funcs: []FuncID{{"f", 1, 2}}}), p.Ready(), p.Log([]byte("log")), p.Fail([]byte("why")), p.sock.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}

	var got []string
	_ = l.Serve(Events{
		Hello:  func(h Hello) { got = append(got, "hello "+h.Build+h.Funcs[0].Name) },
		Ready:  func() { got = append(got, "ready") },
		Failed: func(b []byte) { got = append(got, "failed "+string(b)) },
		Log:    func(b []byte) { got = append(got, string(b)) },
	}, testMessage)
	if len(got) != 4 || got[0] != "hello bf" || got[1] != "ready" || got[2] != "log" || got[3] != "failed why" {
		t.Errorf("%q", got)
	}
}

// A worker must end if its parent's ring contains garbage.
func TestHostileTaskRecords(t *testing.T) {
	for name, spoil := range map[string]func(h []byte){
		"size too small": func(h []byte) { binary.LittleEndian.PutUint32(h, taskHead-1) },
		"size too large": func(h []byte) { binary.LittleEndian.PutUint32(h, ringSize+1) },
		"body too large": func(h []byte) { binary.LittleEndian.PutUint32(h[20:], 1000) },
		"too many tasks": func(h []byte) { binary.LittleEndian.PutUint32(h[12:], 3) },
		"huge":           func(h []byte) { binary.LittleEndian.PutUint32(h[20:], math.MaxUint32) },
	} {
		l := newLink(t)
		p := newPort(t, l)
		all := body([]byte("a"), []byte("b"))
		l.Stage(Chunk{Count: 2, Body: all})
		h := l.mem.taskRing()
		spoil(h)
		binary.LittleEndian.PutUint64(h[sumOffset:], chunkSum(0, h[:sumOffset], all)) // still valid
		l.Publish()
		var err error
		for range 3 {
			if _, err = p.Next(); err != nil {
				break
			}
		}

		if !errors.Is(err, errGarbage) {
			t.Errorf("%s: %v", name, err)
		}
	}

	l := newLink(t)
	p := newPort(t, l)
	l.Stage(Chunk{Count: 1, Body: []byte{0xff, 0xff, 0xff, 0xff, 1}})
	l.Publish()
	if _, err := p.Next(); !errors.Is(err, errGarbage) {
		t.Errorf("an argument longer than the body: %v", err)
	}
}

// A worker must not compute with a record that it has overwritten itself.
func TestOverwrittenTaskRecord(t *testing.T) {
	all := body([]byte("some argument"), nil)
	for bit := range 8 * (taskHead + len(all)) {
		l := newLink(t)
		p := newPort(t, l)
		l.Stage(Chunk{Func: 1, Count: 2, Body: all})
		l.mem.taskRing()[bit/8] ^= 1 << (bit % 8)
		l.Publish()
		if task, err := p.Next(); !errors.Is(err, errGarbage) {
			t.Fatalf("bit %d: %+v, %v", bit, task, err)
		}
		l.Close()
	}
}

func TestCloseLeavesNoDescriptors(t *testing.T) {
	lowest := func() int {
		fd, err := syscall.Dup(0)
		if err != nil {
			t.Fatal(err)
		}
		_ = syscall.Close(fd)
		return fd
	}

	before := lowest()
	for range 20 {
		l, err := New()
		if err != nil {
			t.Fatal(err)
		}
		if len(l.ChildFiles()) != NumFDs {
			t.Fatalf("%d descriptors for the worker", len(l.ChildFiles()))
		}

		for _, fd := range l.ChildFiles() {
			if f, _, _ := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0); f&syscall.FD_CLOEXEC == 0 {
				t.Errorf("descriptor %d is inherited", fd)
			}
		}
		l.Close()
		l.Close()
	}
	if after := lowest(); after != before {
		t.Errorf("the lowest free descriptor was %d and is %d", before, after)
	}
}

// neverTimer returns a stopped timer that replaces the timer that calls ringLate.
func neverTimer() *time.Timer {
	timer := time.AfterFunc(time.Hour, func() {})
	timer.Stop()
	return timer
}

// An answer that is longer than wanted must be read without allocating memory for it, and later
// messages must arrive.
func TestUnwantedAnswers(t *testing.T) {
	l := newLink(t)
	p := newPort(t, l)
	l.CloseChild()
	const large = 64 << 20
	body, sent := make([]byte, large), make(chan error, 1)
	go func() {
		err := p.Answer(1, body[:10])
		for seq := range uint32(3) {
			err = errors.Join(err, p.Answer(2+seq, body))
		}
		sent <- errors.Join(err, p.Answer(1, []byte("last")), p.sock.Close())
	}()

	var got []string
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_ = l.Serve(Events{
		Wanted: func(seq uint32) int { return map[uint32]int{1: 10, 3: large - 1}[seq] },
		Answer: func(seq uint32, b []byte, size int) { got = append(got, fmt.Sprint(seq, len(b), size)) },
	}, testMessage)

	runtime.ReadMemStats(&after)
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if want := []string{"1 10 10", "2 0 67108864", "3 0 67108864", "4 0 67108864", "1 4 4"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > large/4 {
		t.Errorf("%d bytes of memory", n)
	}
}

// Results must count as uncollected until they are accounted for. Otherwise, an observer could
// think that a task has no result although the result has been collected.
func TestUncollectedUntilAccounted(t *testing.T) {
	l := newLink(t)
	p := newPort(t, l)
	for range 3 {
		l.Stage(Chunk{Count: 1, Body: body([]byte("a"))})
		l.Publish()
		if _, err := p.Next(); err != nil {
			t.Fatal(err)
		}

		if l.Uncollected() {
			t.Error("there is no result yet")
		}
		if err := p.Finish(0, []byte("b")); err != nil {
			t.Fatal(err)
		}
		if !l.Uncollected() {
			t.Error("the result does not count")
		}

		if got, err := collect(t, l); err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
		if !l.Uncollected() {
			t.Error("the result counts as accounted for")
		}
		l.Accounted()
		if l.Uncollected() {
			t.Error("the result counts for ever")
		}
	}
}
