//go:build linux

package manager_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/xsync"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/manager"
)

// memory is this process's memory, any part of which a corrupt client may overwrite.
type memory struct{ f *os.File }

func ownMemory() (memory, error) {
	f, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	return memory{f}, err
}

func (m memory) load(at int64) uint64 {
	var b [8]byte
	_, _ = m.f.ReadAt(b[:], at) // zero if the memory is no longer mapped
	return binary.LittleEndian.Uint64(b[:])
}

func (m memory) store(at int64, w uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], w)
	_, _ = m.f.WriteAt(b[:], at)
}

// objects returns the addresses of this process's objects of a kind.
func (m memory) objects(kind xsync.Kind) (all []int64, err error) {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var from, to int64
		if !strings.Contains(lines.Text(), "memfd:mp-arena") {
			continue
		}

		if _, err := fmt.Sscanf(lines.Text(), "%x-%x", &from, &to); err != nil {
			return nil, err
		}
		const line = 64
		kinds := make([]byte, (to-from)/line)
		_, _ = m.f.ReadAt(kinds, from)
		for i := len(kinds) / line; i < len(kinds); i++ {
			if xsync.Kind(kinds[i]) == kind {
				all = append(all, from+int64(i)*line)
			}
		}
	}

	return all, nil
}

// slot returns this process's slot, which it finds in the process's connections.
func (m memory) slot() (uint64, error) {
	const ends = 32 // offset of the word with the owners of a pipe's ends; this process has the first end
	pipes, err := m.objects(xsync.KindPipe)
	if err != nil || len(pipes) == 0 {
		return 0, fmt.Errorf("it has no connection: %w", err)
	}
	return m.load(pipes[0]+ends) & 1023, nil
}

// The ways in which a corrupt client overwrites a word.
var scribbles = map[string]func(w, me uint64) []uint64{
	"zero":   func(w, me uint64) []uint64 { return []uint64{0} },
	"max":    func(w, me uint64) []uint64 { return []uint64{1<<64 - 1} },
	"itself": func(w, me uint64) []uint64 { return []uint64{w | me} },
	"nobody": func(w, me uint64) []uint64 { return []uint64{w | 999} },
	"flip":   func(w, me uint64) []uint64 { return []uint64{w, w + 1<<20 + 4, w ^ 1, 0} },
}

// A scribble says which words a client overwrites, and how.
type scribble struct {
	Manager *manager.Manager
	Dict    *manager.Dict[string, int]
	Kind    xsync.Kind
	Words   []int // offsets
	How     string
}

// scribbling is a client that overwrites the words of a scribble, each on a new connection, and
// keeps making calls.
var scribbling = mp.Register("scribbling", func(ctx context.Context, s scribble) (written int, err error) {
	m, err := ownMemory()
	if err != nil {
		return 0, err
	}
	defer m.f.Close()
	for _, at := range s.Words {
		// It does not matter whether this client's calls succeed.
		ask(ctx, s.Dict, time.Second)
		objects, err := m.objects(s.Kind)
		if err != nil {
			return written, err
		}
		me, err := m.slot()
		if err != nil {
			return written, err
		}

		for _, o := range objects {
			values := scribbles[s.How](m.load(o+int64(at)), me)
			for range 50 {
				for _, v := range values {
					m.store(o+int64(at), v)
				}
			}
			written++
		}

		ask(ctx, s.Dict, 5*time.Millisecond)
		s.Manager.Drop()
	}

	return written, nil
})

func ask(ctx context.Context, d *manager.Dict[string, int], d2 time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d2)
	defer cancel()
	_ = d.Set(ctx, "corrupt", 1)
}

// honest is the argument of a client that makes calls until Over is set and the client has made
// enough calls to notice harm. Each call must return in time and with the right result.
type honest struct {
	Dict *manager.Dict[string, int]
	Key  string
	Over *ipc.Event
}

func (h honest) goOn(ctx context.Context) (calls int, err error) {
	const atLeast = 10
	for {
		if over, err := h.Over.IsSet(); over && calls >= atLeast || err != nil {
			return calls, err
		}
		calls++
		if err := h.call(ctx, calls); err != nil {
			return calls, fmt.Errorf("call %d of %s: %w", calls, h.Key, err)
		}
	}
}

func (h honest) call(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := h.Dict.Set(ctx, h.Key, n); err != nil {
		return err
	}
	got, ok, err := h.Dict.Get(ctx, h.Key)
	if err == nil && (!ok || got != n) {
		err = fmt.Errorf("it is %d, and not %d", got, n)
	}
	return err
}

var goingOn = mp.Register("goingOn", func(ctx context.Context, h honest) (int, error) { return h.goOn(ctx) })

// besides runs f while two honest clients use the manager. One of the clients is a worker.
func besides(t *testing.T, m *manager.Manager, d *manager.Dict[string, int], f func()) {
	t.Helper()
	over, err := ipc.NewEvent(ipc.Isolated())
	if err != nil {
		t.Fatal(err)
	}

	defer over.Close()
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	worker := mp.Submit(t.Context(), pool, goingOn, honest{d, "worker", over})
	here := make(chan error, 1)
	go func() {
		_, err := honest{d, "main", over}.goOn(t.Context())
		here <- err
	}()

	f()
	_ = over.Set()
	if err := <-here; err != nil {
		t.Error(err)
	}
	if calls, err := worker.Result(soon(t)); err != nil {
		t.Errorf("after %d calls: %v", calls, err)
	}
}

// endsSoon shuts down a manager and checks that the manager's clients do not delay the shutdown.
func endsSoon(t *testing.T, m *manager.Manager) {
	t.Helper()
	began := time.Now()
	if err := m.Shutdown(soon(t)); err != nil {
		t.Errorf("Shutdown after %v: %v", time.Since(began), err)
	}
}

// pipeWords returns the offsets of the words of a connection to a manager, and of the first record
// in each direction. With -short it returns only one in five of the connection's own words.
func pipeWords() (words []int) {
	at, step := 0, 8
	if testing.Short() {
		at, step = 8*rand.IntN(5), 8*5
	}
	for ; at < xsync.PipeHead; at += step {
		words = append(words, at)
	}
	return append(words, xsync.PipeHead, xsync.PipeHead+8, xsync.PipeHead+256<<10, xsync.PipeHead+256<<10+8)
}

// A client that overwrites its own connection, at any place and with any value, delays neither
// other clients nor the manager's shutdown.
func TestConnectionWrittenOver(t *testing.T) {
	for how := range scribbles {
		t.Run(how, func(t *testing.T) {
			m := start(t, manager.Config{})
			d := must(manager.NewDict[string, int](t.Context(), m))
			pool := newPool(t, mp.PoolConfig{Workers: 2})
			besides(t, m, d, func() {
				var wg sync.WaitGroup
				words := pipeWords()
				for i := range 2 {
					wg.Go(func() {
						for _, at := range words[i*len(words)/2 : (i+1)*len(words)/2] {
							n, err := mp.Call(soon(t), pool, scribbling, scribble{m, d, xsync.KindPipe, []int{at}, how})
							if err != nil || n == 0 {
								t.Errorf("word %d, written over %d times: %v", at, n, err)
							}
						}
					})
				}
				wg.Wait()
			})

			endsSoon(t, m)
		})
	}
}

var settingOnce = mp.RegisterAction("settingOnce", func(ctx context.Context, d *manager.Dict[string, int]) error {
	return d.Set(ctx, "new", 1)
})

// The worst that a client can do by overwriting the door, which all clients share, is to keep new
// clients out. New clients get an error soon, even if their contexts last longer. Connected clients
// continue, and the manager shuts down normally.
func TestDoorWrittenOver(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	for how := range scribbles {
		for _, at := range []int{0, 8, 64, 128, 192, 256, xsync.RingSize} {
			t.Run(fmt.Sprint(how, " ", at), func(t *testing.T) {
				m := start(t, manager.Config{})
				d := must(manager.NewDict[string, int](t.Context(), m))
				over := must(ipc.NewEvent())
				defer over.Close()
				if n, err := mp.Call(soon(t), pool, scribbling, scribble{m, d, xsync.KindRing, []int{at}, how}); err != nil || n != 1 {
					t.Fatalf("%d words were written over: %v", n, err)
				}

				old := make(chan error, 1)
				go func() {
					_, err := honest{d, "main", over}.goOn(t.Context())
					old <- err
				}()

				_, err := mp.Call(soon(t), newPool(t, mp.PoolConfig{Workers: 1, Grace: 20 * time.Second}), settingOnce, d)
				t.Log("a new client: ", err)
				if errors.Is(err, context.DeadlineExceeded) {
					t.Error("a new client waits as long as its context lasts")
				}

				_ = over.Set()
				if err := <-old; err != nil {
					t.Error("an old client: ", err)
				}
				endsSoon(t, m)
			})
		}
	}
}
