//go:build linux

package attacks

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/insight"
	"github.com/go-multiprocessing/mp/internal/broker"
	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/share"
	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/store"
	"github.com/go-multiprocessing/mp/internal/xsync"
	"github.com/go-multiprocessing/mp/manager"
)

// heavy is for attacks that move much.
var heavy = Bounds{Timeout: 25 * time.Second}

// budget is for attacks on the segment server's budget of descriptors.
var budget = Bounds{Timeout: 3 * time.Second, Descriptors: descriptorLimit() / 2}

// brief is for attacks that are about time more than size.
var brief = Bounds{Timeout: 3 * time.Second}

// manyHandshakes allows for as many as may be under way, and their goroutines.
var manyHandshakes = Bounds{Timeout: 3 * time.Second, Descriptors: 256 + 128, Goroutines: 3 * 256}

// programRows are attacks of several steps, each of which was once a program that broke something.
func programRows() []Row {
	rows := []Row{
		{Target: "the bell", Deed: "fill it again and again", attack: keepBellFull},
		{Target: "the wake pipe", Deed: "fill it, hand it to a child, and always seem to sleep", workers: 1, Bounds: Bounds{Timeout: time.Second}, attack: seemToSleep},
		{Target: "the link", Deed: "send a lingering socket beside a message and exit", attack: lingerOnLink},
		{Target: "the segment server", Deed: "publish a lingering socket and destroy it", attack: lingerAtServer},
		{Target: "the segment server", Deed: "destroy what others made", gives: "Mutex", attack: destroyOthers, after: siblingLives},
		{Target: "the segment server", Deed: "have as many children adopted as can be and exit", Bounds: Bounds{Timeout: 3 * time.Second}, attack: adoptMany, after: newPoolStarts},
		{Target: "the segment server", Deed: "publish as many segments as can be and exit", Bounds: budget, attack: publishMany, after: newPoolStarts},
		{Target: "the segment server", Deed: "have segments kept by what others hold and exit", gives: "Queue", Bounds: budget, attack: keepMany, after: newPoolStarts},
		{Target: "a queue", Deed: "put an element that claims to be a tebibyte elsewhere", gives: "Queue", attack: func(ctx context.Context, v *victim) error { return spill(ctx, v, 1<<40) }},
		{Target: "a queue", Deed: "put an element that claims to be 2 GiB elsewhere", gives: "Queue", attack: func(ctx context.Context, v *victim) error { return spill(ctx, v, 2<<30) }},
		{Target: "the link", Deed: "announce a tebibyte and send 260 MiB", Bounds: heavy, attack: grow},
		{Target: "an error", Deed: "return one with millions of parts", Bounds: brief, attack: func(ctx context.Context, _ *victim) error { return returnError(ctx, wideError(16<<20)) }},
		{Target: "an error", Deed: "return one thousands deep", Bounds: brief, attack: func(ctx context.Context, _ *victim) error { return returnError(ctx, deepError(3000)) }},
		{Target: "a profile", Deed: "answer with a compressed gigabyte", Bounds: brief, attack: profileBomb},
		{Target: "a profile", Deed: "answer with 300 MiB", Bounds: brief, attack: profileHuge},
		{Target: "a WorkerError", Deed: "answer with stacks of 200 MiB", Bounds: Bounds{Timeout: 12 * time.Second}, attack: stacksBomb},
		{Target: "the log", Deed: "log records of 1 MiB as fast as can be", Bounds: heavy, attack: logFlood},
		{Target: "the manager", Deed: "hold the locks of its own connection", attack: holdManagerLocks},
		{Target: "the manager", Deed: "make names of 1 MiB, as a remote client", Bounds: heavy, attack: longNames, after: managerIsSmall},
		{Target: "the manager", Deed: "have many calls of 1 MiB wait, as a remote client", Bounds: Bounds{Timeout: 12 * time.Second}, attack: waitingCalls, after: managerIsSmall},
		{Target: "the manager", Deed: "change objects that it was not given, by their numbers", attack: guessObjects},
		{Target: "the listener", Deed: "connect again and again and say nothing", Bounds: manyHandshakes, attack: silence},
	}
	for i := range rows {
		rows[i].Family = Programs
		rows[i].waits = rows[i].Bounds.Timeout > brief.Timeout // for what it moves
		switch rows[i].Target {
		case "a profile":
			rows[i].during = profiles
		case "the wake pipe":
			rows[i].during = submitMore
		}
	}
	return rows
}

func keepBellFull(ctx context.Context, _ *victim) error {
	for ctx.Err() == nil {
		fill(bellFD)
		_ = await(ctx, bellFD, unix.POLLOUT)
	}
	return nil
}

func seemToSleep(_ context.Context, v *victim) error {
	mem, err := linkSegment()
	if err != nil {
		return err
	}
	if err := v.hand(wakeFD); err != nil {
		return err
	}
	fill(wakeFD)
	for { // it ignores its context as well
		shm.Word32(mem, offsetOf("asleep")).Store(1)
	}
}

func lingerOnLink(ctx context.Context, v *victim) error {
	fd, err := v.lingering()
	if err != nil {
		return err
	}
	message := append(link.MessageHead(kindOf("log"), 0, 1), 0)
	if err := sendWith(ctx, socketFD, message, fd); err != nil {
		return err
	}
	_ = unix.Close(fd)
	os.Exit(3)
	return nil
}

func lingerAtServer(ctx context.Context, v *victim) error {
	server, err := v.server(ctx)
	if err != nil {
		return err
	}
	fd, err := v.lingering()
	if err != nil {
		return err
	}
	const req = 1 << 20
	id := v.tag | 4711
	if err := tell(ctx, server, "publish", broker.RawMessage{ID: id, Req: req}, fd); err != nil {
		return err
	}
	if _, err := answerOf(ctx, server, req); err != nil {
		return err
	}
	_ = unix.Close(fd)
	if err := tell(ctx, server, "destroy", broker.RawMessage{ID: id}); err != nil {
		return err
	}
	return rest(ctx)
}

// tokenOf is the handle of what the attacker was given.
func (v *victim) tokenOf(name string) (share.Token, error) {
	kind, err := giftOf(name)
	if err != nil {
		return share.Token{}, err
	}
	wire, err := kind.wire(&v.Given)
	if err != nil {
		return share.Token{}, err
	}
	token, _, err := share.ParseToken(wire, kind.kind)
	return token, err
}

func destroyOthers(ctx context.Context, v *victim) error {
	token, err := v.tokenOf("Mutex")
	if err != nil {
		return err
	}
	server, err := v.server(ctx)
	if err != nil {
		return err
	}
	own, err := sparse(4096)
	if err != nil {
		return err
	}
	const req = 1 << 20
	id := v.tag | 4711
	for _, end := range []bool{false, true} { // destroy it outright, drop it, take it, and keep it in order to release it
		for op, m := range map[string]broker.RawMessage{
			"destroy": {ID: token.Segment}, "drop": {ID: token.Segment}, "take": {ID: token.Segment},
			"release": {ID: token.Segment, Size: id, OK: end},
		} {
			_ = tell(ctx, server, "publish", broker.RawMessage{ID: id, Size: 4096, Req: req}, own)
			_ = tell(ctx, server, "keep", broker.RawMessage{ID: token.Segment, Size: id, Req: req + 1})
			if err := tell(ctx, server, op, m); err != nil {
				return err
			}
		}
	}
	_ = tell(ctx, server, "fetch", broker.RawMessage{ID: token.Segment, Req: req + 2})
	_, err = answerOf(ctx, server, req+2) // all that came before has been done
	return err
}

// siblingLives looks at an object that lies in the same segment as what was given.
func siblingLives(ctx context.Context, w *world) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	here, err := w.sibling.Load(ctx)
	if err := check(here, siblingValue, err); err != nil {
		return fmt.Errorf("main, with an object in the segment of what was given: %w", err)
	}
	there, err := mp.Call(ctx, w.other, load, w.sibling)
	if err := check(there, siblingValue, err); err != nil {
		return fmt.Errorf("a worker, with an object in the segment of what was given: %w", err)
	}
	return nil
}

// adoptMany gives the server children that are none: each is the root itself.
func adoptMany(ctx context.Context, v *victim) error {
	server, err := v.server(ctx)
	if err != nil {
		return err
	}
	parent, err := unix.PidfdOpen(os.Getppid(), 0)
	if err != nil {
		return err
	}
	const many = 600
	for i := range many {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		req := uint32(1<<20 + i)
		_ = tell(ctx, server, "adopt", broker.RawMessage{Req: req}, pair[1])
		err = tell(ctx, server, "pidfd", broker.RawMessage{Req: req}, parent)
		if err == nil {
			_, err = answerOf(ctx, server, req)
		}
		_ = unix.Close(pair[0])
		_ = unix.Close(pair[1])
		if err != nil {
			break
		}
	}
	os.Exit(3)
	return nil
}

// publishMany publishes until the server does not take any more.
func publishMany(ctx context.Context, v *victim) error {
	server, err := v.server(ctx)
	if err != nil {
		return err
	}
	const many = 20000
	for i := range many {
		fd, err := sparse(4096)
		if err != nil {
			break
		}
		req := uint32(1<<20 + i)
		err = tell(ctx, server, "publish", broker.RawMessage{ID: v.tag + uint64(i) + 1, Size: 4096, Req: req}, fd)
		_ = unix.Close(fd)
		m := broker.RawMessage{}
		if err == nil {
			m, err = answerOf(ctx, server, req)
		}
		if err != nil || !m.OK {
			break
		}
	}
	os.Exit(3)
	return nil
}

// keepMany has its own segments live on, in messages of a queue of main's, after its death.
func keepMany(ctx context.Context, v *victim) error {
	token, err := v.tokenOf("Queue")
	if err != nil {
		return err
	}
	server, err := v.server(ctx)
	if err != nil {
		return err
	}
	const many = 2000
	for i := range many {
		fd, err := sparse(4096)
		if err != nil {
			break
		}
		id, req := v.tag+uint64(i)+1, uint32(1<<20+i)
		err = tell(ctx, server, "publish", broker.RawMessage{ID: id, Size: 4096, Req: 1 << 30}, fd)
		_ = unix.Close(fd)
		if err == nil {
			err = tell(ctx, server, "keep", broker.RawMessage{ID: id, Size: token.Segment, Req: req})
		}
		if err == nil {
			_, err = answerOf(ctx, server, req)
		}
		if err != nil {
			break
		}
	}
	os.Exit(3)
	return nil
}

// newPoolStarts shows that the attacker's budget was not everybody's.
func newPoolStarts(ctx context.Context, w *world) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 1, Env: quickExit, Output: quiet})
	if err != nil {
		return err
	}
	defer pool.Close()
	n, err := mp.Call(ctx, pool, load, w.sibling)
	return check(n, siblingValue, err)
}

// spill puts a record into the queue that says that the element lies in a sparse file.
func spill(ctx context.Context, v *victim, size int64) error {
	token, err := v.tokenOf("Queue")
	if err != nil {
		return err
	}
	server, err := v.server(ctx)
	if err != nil {
		return err
	}
	fd, err := sparse(size)
	if err != nil {
		return err
	}
	const req = 1 << 20
	id := v.tag | 4711
	_ = tell(ctx, server, "publish", broker.RawMessage{ID: id, Size: uint64(size), Req: req}, fd)
	_ = tell(ctx, server, "keep", broker.RawMessage{ID: id, Size: token.Segment, Req: req + 1})
	if _, err := answerOf(ctx, server, req+1); err != nil {
		return err
	}
	mem, off, err := place(token)
	if err != nil {
		return err
	}
	for range 8 { // main is not the only one that gets
		xsync.PutElsewhere(mem[off:][:token.Size], id, uint64(size))
	}
	return nil
}

func grow(ctx context.Context, _ *victim) error {
	fd, err := linkSocket()
	if err != nil {
		return err
	}
	if err := writeAll(ctx, fd, link.MessageHead(kindOf("payload"), 1, 1<<40)); err != nil {
		return err
	}
	part := make([]byte, 1<<20)
	for range 260 {
		if err := writeAll(ctx, fd, part); err != nil {
			return err
		}
	}
	return nil // it has been taken: there is nothing to wait for
}

// returnError commits an outcome that is an error, as encoded.
func returnError(ctx context.Context, body []byte) error {
	mem, err := linkSegment()
	if err != nil {
		return err
	}
	const failed = 1
	seq := running(mem)
	if err := say(ctx, socketFD, kindOf("payload"), seq, body); err != nil {
		return err
	}
	commit(mem, seq, failed)
	_, err = unix.Write(bellFD, []byte{1})
	return errors.Join(err, rest(ctx))
}

// wideError is an error of n empty parts, of a byte each.
func wideError(n int) []byte {
	const parts, empty = 6, 0xa0
	b := binary.BigEndian.AppendUint64([]byte{0xa1, parts, 0x9b}, uint64(n))
	return append(b, bytes.Repeat([]byte{empty}, n)...)
}

// deepError is a chain of errors, each with its text.
func deepError(depth int) []byte {
	text := func(s string) []byte { b, _ := cbor.Marshal(s); return b }
	var b []byte
	for i := range depth {
		b = append(b, 0xa3, 1)
		b = append(b, text(strings.Repeat(": ", depth-i)+"x")...)
		b = append(b, 4)
		b = append(b, text("os.SyscallError")...)
		b = append(b, 6, 0x81)
	}
	return append(b, 0xa1, 1, 0x61, 'x')
}

// submitMore submits calls all the time, so that the attacker's worker has to be woken.
func submitMore(ctx context.Context, w *world) {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	patient, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	var calls []*mp.Future[int]
	for ctx.Err() == nil {
		calls = append(calls, mp.Submit(patient, w.attacked, double, len(calls)))
		<-ticker.C
	}
	for _, c := range calls {
		if _, err := c.Result(context.Background()); errors.Is(err, context.DeadlineExceeded) {
			w.fault("a call behind the attack: %v", err)
			return
		}
	}
}

// profiles asks for profiles all the time, each in a second at most.
func profiles(ctx context.Context, w *world) {
	const brief = time.Second
	for ctx.Err() == nil {
		c, cancel := context.WithTimeout(ctx, brief)
		began := time.Now()
		_ = insight.Profile(c, w.attacked, "heap", io.Discard)
		cancel()
		if took := time.Since(began); took > brief+w.bounds.Grace+Slack {
			w.fault("insight.Profile with %v took %v", brief, took)
		}
	}
}

// answerQuestions answers the parent's questions in the runtime's place.
func answerQuestions(ctx context.Context, body []byte) error {
	fd, err := linkSocket()
	if err != nil {
		return err
	}
	for {
		kind, seq, err := hear(ctx, fd)
		if err == nil && kind == kindOf("ask") {
			err = say(ctx, fd, kind, seq, body)
		}
		if err != nil {
			return err
		}
	}
}

func profileBomb(ctx context.Context, _ *victim) error {
	var buf bytes.Buffer
	z, err := gzip.NewWriterLevel(&buf, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if _, err := z.Write(make([]byte, 64<<20)); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return answerQuestions(ctx, profileAnswer(bytes.Repeat(buf.Bytes(), 16)))
}

func profileHuge(ctx context.Context, _ *victim) error {
	return answerQuestions(ctx, profileAnswer(make([]byte, 300<<20)))
}

// profileAnswer is how a worker answers the question for a profile.
func profileAnswer(data []byte) []byte {
	b, err := cbor.Marshal(struct {
		Data []byte `cbor:"1,keyasint"`
	}{data})
	if err != nil {
		panic(err)
	}
	return b
}

// stacksBomb tells stacks, which it is asked for when it has been told to end, before and after that.
func stacksBomb(context.Context, *victim) error {
	fd, err := linkSocket()
	if err != nil {
		return err
	}
	stacks := bytes.Repeat([]byte("goroutine 1 [running]:\n"), 200<<20/23)
	for {
		if err := say(context.Background(), fd, kindOf("stacks"), 0, stacks); err != nil {
			return err
		}
	}
}

func logFlood(ctx context.Context, _ *victim) error {
	text := strings.Repeat("\"", 1<<20)
	const records = 3000
	for i := 0; i < records && ctx.Err() == nil; i++ {
		slog.Info(text)
	}
	return ctx.Err()
}

// holdManagerLocks has the locks of the pipe to the manager held by a process that there is not.
func holdManagerLocks(ctx context.Context, v *victim) error {
	if err := v.Dict.Set(ctx, "x", 1); err != nil {
		return err
	}
	pipes, err := pipesHere()
	if err != nil {
		return err
	}
	const nobody = 999
	for _, mem := range pipes {
		for _, off := range xsync.PipeLocks() {
			shm.Word64(mem, off).Or(nobody)
		}
	}
	c, cancel := context.WithTimeout(ctx, DefaultTimeout/4)
	defer cancel()
	_ = v.Dict.Set(c, "x", 2)
	os.Exit(3)
	return nil
}

// far is a connection to the manager as a remote client has it.
func (v *victim) far(ctx context.Context) (*manager.Manager, error) {
	return manager.Dial(ctx, "tcp", v.Manager, peers())
}

func longNames(ctx context.Context, v *victim) error {
	m, err := v.far(ctx)
	if err != nil {
		return err
	}
	const many = 600
	for i := range many {
		name := fmt.Sprint(i, strings.Repeat("x", 1<<20))
		if _, err := manager.NewEvent(ctx, m, manager.Named(name)); err != nil {
			return err
		}
	}
	return nil
}

// block waits, with its argument, as long as it may.
var block = manager.Function("block", func(ctx context.Context, old int, _ []byte) (int, error) {
	<-ctx.Done()
	return old, ctx.Err()
})

func waitingCalls(ctx context.Context, v *victim) error {
	m, err := v.far(ctx)
	if err != nil {
		return err
	}
	d, err := manager.NewDict[string, int](ctx, m)
	if err != nil {
		return err
	}
	const many = 600
	for range many {
		go func() { _, _ = manager.Update(ctx, d, "k", block, make([]byte, 1<<20)) }()
	}
	return rest(ctx)
}

// guessObjects clears and closes objects of others, by all small numbers but that of its own.
func guessObjects(ctx context.Context, v *victim) error {
	c, err := v.asLocal(ctx)
	if err != nil {
		return err
	}
	wire, err := v.Dict.MarshalBinary()
	if err != nil {
		return err
	}
	own := binary.LittleEndian.Uint64(wire[store.IDSize:])
	for object := range uint64(16) {
		var w store.Writer
		if object != own {
			w.Begin(uint32(object), store.OpDictClear, object)
			w.End()
		}
		if err := c.SendBytes(ctx, w.B); err != nil {
			return err
		}
	}
	return rest(ctx)
}

// managerIsSmall bounds what the manager's process has taken.
func managerIsSmall(_ context.Context, w *world) error {
	if mib := status(fmt.Sprint(w.manager.PID()), "VmHWM") >> 10; mib > DefaultMemory*raceFactor {
		return fmt.Errorf("the manager, with Limits.Bytes of 16 MiB, has taken %d MiB", mib)
	}
	return nil
}

// silence keeps as many connections open as the listener lets it.
func silence(ctx context.Context, v *victim) error {
	dialer := net.Dialer{}
	const many = 1024
	for range many {
		go func() {
			for ctx.Err() == nil {
				c, err := dialer.DialContext(ctx, "tcp", v.Peer)
				if err != nil {
					continue
				}
				stop := context.AfterFunc(ctx, func() { _ = c.Close() })
				_, _ = io.Copy(io.Discard, c) // as long as the other side keeps it
				stop()
				_ = c.Close()
			}
		}()
	}
	return rest(ctx)
}
