//go:build linux

package worker_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/spawn"
	"github.com/go-multiprocessing/mp/internal/worker"
	"github.com/go-multiprocessing/mp/mptest"
)

const helperVar = "WORKER_TEST_HELPER"

func TestMain(m *testing.M) {
	if os.Getenv(helperVar) != "" && spawn.IsWorker() {
		f := worker.Function{ID: link.FuncID{Name: "f"}, Run: run}
		os.Exit(worker.Serve(worker.Program{
			Functions: []worker.Function{f}, Build: "build", Start: func(link.Config, func([]byte) error) *slog.Logger { return nil },
		}))
	}
	mptest.Main(m)
}

// run is the worker's only function. If the argument is not empty, run never returns.
func run(_ context.Context, in, out []byte) ([]byte, error) {
	for len(in) > 0 {
	}
	return out, nil
}

// These are the offsets of the link's words, for a parent that violates the protocol. TestServes
// fails if they change.
const (
	taskTail = 0
	resTail  = 128
	taskRing = 32768
)

// A parent is the parent's end of a worker, operated by hand.
type parent struct {
	t      *testing.T
	sock   *os.File
	wake   *os.File
	mem    []byte
	proc   *spawn.Process
	stderr chan string
}

// start starts a worker with a segment of size bytes.
func start(t *testing.T, size int) *parent {
	t.Helper()
	mptest.NoLeaks(t)
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}

	seg, mem, err := shm.New("mp-link", size)
	if err != nil {
		t.Fatal(err)
	}
	if size == link.Size {
		link.Prepare(mem)
	}
	wakeR, wakeW := pipe(t)
	doorbellR, doorbellW := pipe(t)
	errR, errW := pipe(t)
	p := &parent{t: t, sock: os.NewFile(uintptr(pair[0]), "parent"), wake: wakeW, mem: mem, stderr: make(chan string, 1)}
	p.proc, err = spawn.Start(spawn.Spec{
		Args: []string{"worker"}, Env: append(os.Environ(), helperVar+"=1", "GORACE=atexit_sleep_ms=0"),
		Files:  []int{pair[1], seg, int(wakeR.Fd()), int(doorbellW.Fd())},
		Stdout: 2, Stderr: int(errW.Fd()),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*os.File{os.NewFile(uintptr(pair[1]), ""), os.NewFile(uintptr(seg), ""), wakeR, doorbellW, errW} {
		_ = f.Close()
	}

	go func() {
		b, _ := io.ReadAll(errR)
		p.stderr <- string(b)
	}()
	t.Cleanup(func() {
		p.proc.Kill()
		<-p.proc.Done()
		for _, f := range []*os.File{p.sock, p.wake, doorbellR, errR} {
			_ = f.Close()
		}
		_ = shm.Unmap(mem)
	})

	return p
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

func message(kind uint32, body []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, kind)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(body)))
	return append(b, body...)
}

const (
	msgHello  = 1
	msgReady  = 2
	msgFailed = 3
	msgGo     = 8
	msgCancel = 5
)

// greeting returns an encoded Config whose setup has the given name.
func greeting(setup string) []byte {
	b := []byte{link.Version, 1, 1}
	b = binary.AppendUvarint(b, 1<<20)
	b = append(b, 0, 0, 0, 0, 0)       // limits
	b = append(b, 1, 0, 0, 0, 0, 0, 0) // parent, not single, no daemon, no trace, any result, no names
	b = append(binary.AppendUvarint(b, uint64(len(setup))), setup...)
	return message(msgHello, append(b, 0, 0, 0))
}

func (p *parent) send(b []byte) {
	p.t.Helper()
	if _, err := p.sock.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

// hear reads a message from the worker.
func (p *parent) hear(kind uint32) []byte {
	p.t.Helper()
	_ = p.sock.SetReadDeadline(time.Now().Add(never))
	var head [16]byte
	if _, err := io.ReadFull(p.sock, head[:]); err != nil {
		p.t.Fatal(err)
	}
	body := make([]byte, binary.LittleEndian.Uint64(head[8:]))
	if _, err := io.ReadFull(p.sock, body); err != nil {
		p.t.Fatal(err)
	}
	if got := binary.LittleEndian.Uint32(head[:]); got != kind {
		p.t.Fatalf("message %d, %q, not %d", got, body, kind)
	}
	return body
}

// inService starts a worker and waits until it is in service.
func inService(t *testing.T) *parent {
	p := start(t, link.Size)
	p.send(greeting(""))
	p.hear(msgHello)
	p.hear(msgReady)
	return p
}

func (p *parent) word(off int) *atomic.Uint64 { return (*atomic.Uint64)(unsafe.Pointer(&p.mem[off])) }

// task returns a record of count tasks in the form that it has in the ring.
func task(size, n, fn, count uint32, flags uint16, body ...byte) []byte {
	b := make([]byte, link.TaskHead)
	binary.LittleEndian.PutUint32(b, size)
	binary.LittleEndian.PutUint16(b[4:], flags)
	binary.LittleEndian.PutUint32(b[8:], fn)
	binary.LittleEndian.PutUint32(b[12:], count)
	binary.LittleEndian.PutUint32(b[16:], 1)
	binary.LittleEndian.PutUint32(b[20:], n)
	return append(b, body...)
}

// withBaggage sets how much of a record's body is baggage.
func withBaggage(record []byte, n uint32) []byte {
	binary.LittleEndian.PutUint32(record[36:], n)
	return record
}

// publish writes ring to the task ring, sets the ring's tail, and wakes the worker.
func (p *parent) publish(ring []byte, tail uint64) {
	if len(ring) >= link.TaskHead {
		link.SealChunk(0, ring)
	}
	copy(p.mem[taskRing:], ring)
	p.word(taskTail).Store(tail)
	_, _ = p.wake.Write([]byte{1})
}

// never limits waits that would otherwise hang a test.
const never = 20 * time.Second

// ends waits for the worker's end, and checks the worker's exit code and last output.
func (p *parent) ends(code int, why string) {
	p.t.Helper()
	select {
	case <-p.proc.Done():
	case <-time.After(never):
		p.t.Error("it goes on")
		return
	}
	said := <-p.stderr
	if got := p.proc.Status(); got != (spawn.Status{ExitCode: code}) || !strings.Contains(said, why) || strings.Contains(said, "%!") || strings.Contains(said, "panic") {
		p.t.Errorf("%v, %q", got, said)
	}
}

// A worker must serve an honest parent that is operated by hand. The other tests rely on the
// offsets that this test verifies.
func TestServes(t *testing.T) {
	p := inService(t)
	p.publish(task(72, 4, 0, 1, 0, 0, 0, 0, 0), 72)
	for deadline := time.Now().Add(never); p.word(resTail).Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no result")
		}
	}
	p.send(message(msgCancel, nil)) // of a task that is over
	const stop = 4
	last := task(64, 0, 0, 0, stop)
	link.SealChunk(72, last)
	copy(p.mem[taskRing+72:], last)
	p.publish(nil, 136)
	p.ends(0, "")
}

const garbage = "does not speak the protocol"

// If the parent sends garbage or nothing before the worker is in service, the worker must end.
func TestGarbageForGreeting(t *testing.T) {
	good := greeting("")
	for _, c := range []struct {
		name, why string
		b         []byte
	}{
		{"nothing", "no greeting from the parent", nil},
		{"half a head", "no greeting from the parent", good[:9]},
		{"half a greeting", "no greeting from the parent", good[:20]},
		{"unknown message", garbage, message(99, nil)},
		{"endless message", garbage, slices.Replace(message(msgHello, nil), 8, 16, bytes.Repeat([]byte{0xff}, 8)...)},
		{"another message", garbage, message(msgCancel, nil)},
		{"short greeting", garbage, message(msgHello, []byte{link.Version, 1})},
		{"long greeting", garbage, message(msgHello, append(good[16:], 0))},
		{"empty greeting", garbage, message(msgHello, nil)},
		{"noise", garbage, noise(1000)},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := start(t, link.Size)
			p.send(c.b)
			_ = p.sock.Close()
			p.ends(1, c.why)
		})
	}
}

func noise(n int) []byte {
	r := rand.New(rand.NewPCG(5, 6))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// A segment of a different size is not mapped.
func TestSegmentOfAnotherSize(t *testing.T) {
	p := start(t, link.Size-4096)
	p.ends(1, "a segment of ")
}

// If this program does not have the setup function, the worker reports that and ends.
func TestUnknownSetup(t *testing.T) {
	p := start(t, link.Size)
	p.send(greeting("no such"))
	p.hear(msgHello)
	p.send(message(msgGo, nil))
	if why := p.hear(msgFailed); !bytes.Contains(why, []byte("no such function")) {
		t.Errorf("%q", why)
	}
	p.ends(1, "")
}

// Garbage on the socket of a worker in service ends the worker, even during a task.
func TestGarbageInService(t *testing.T) {
	for _, c := range []struct {
		name, why string
		b         []byte
		busy      bool
	}{
		{"nothing", "", nil, false},
		{"nothing, in a task", "", nil, true},
		{"unknown message", garbage, message(99, nil), false},
		{"a second greeting", garbage, greeting(""), false},
		{"noise, in a task", garbage, noise(1000), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := inService(t)
			if c.busy {
				p.publish(task(72, 5, 0, 1, 0, 1, 0, 0, 0, 9), 72)
			}

			if c.b == nil {
				_ = p.sock.Close()
			} else {
				p.send(c.b)
			}

			p.ends(1, c.why)
		})
	}
}

// Garbage in the ring ends the worker with a message about it.
func TestGarbageInTheRing(t *testing.T) {
	for _, c := range []struct {
		name, why string
		ring      []byte
		tail      uint64
	}{
		{"empty record", garbage, task(0, 0, 0, 0, 0), 64},
		{"record beyond the ring", garbage, task(1<<30, 0, 0, 1, 0), 56},
		{"body beyond the record", garbage, task(72, 1<<31, 0, 1, 0), 72},
		{"argument beyond the body", garbage, task(72, 8, 0, 1, 0, 9, 0, 0, 0), 72},
		{"baggage beyond the body", garbage, withBaggage(task(72, 8, 0, 1, 0, 0, 0, 0, 0), 9), 72},
		{"baggage in the place of arguments", garbage, withBaggage(task(72, 8, 0, 1, 0, 0, 0, 0, 0), 5), 72},
		{"fewer arguments than tasks", garbage, task(72, 4, 0, 1<<31, 0), 72},
		{"unknown function", "function 7 of 1", task(72, 4, 7, 1, 0), 72},
		{"position without a record", garbage, nil, 1 << 50},
		{"noise", garbage, noise(1 << 20), 1 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := inService(t)
			p.publish(c.ring, c.tail)
			p.ends(1, c.why)
		})
	}
}
