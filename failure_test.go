//go:build linux

package mp_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
)

// O2 E1 E3 E6 E25: in whatever way a task ends itself or its worker, only that task fails, and the
// pool goes on.
func TestDeath(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 2, Output: quiet()})
	for _, c := range []struct {
		how    string
		reason mp.Reason
		code   int
		signal syscall.Signal
		stderr string
	}{
		{"exit 0", mp.ReasonExit, 0, 0, ""},
		{"exit 3", mp.ReasonExit, 3, 0, ""},
		{"log.Fatal", mp.ReasonExit, 1, 0, "the last word"},
		{"SIGKILL", mp.ReasonSignal, -1, syscall.SIGKILL, ""},
		{"SIGSEGV", mp.ReasonFatal, 2, 0, "SIGSEGV"},
		{"goroutine panic", mp.ReasonFatal, 2, 0, "panic: elsewhere"},
		{"map write", mp.ReasonFatal, 2, 0, "nil map"},
		{"stack overflow", mp.ReasonFatal, 2, 0, "stack"},
	} {
		t.Run(c.how, func(t *testing.T) {
			_, err := mp.Call(t.Context(), pool, die, c.how)
			var w *mp.WorkerError
			if !errors.As(err, &w) {
				t.Fatalf("got %v", err)
			}
			if w.Reason != c.reason || w.ExitCode != c.code || w.Signal != c.signal || !strings.Contains(w.Stderr, c.stderr) {
				t.Errorf("got %+v", w)
			}
			if strings.Contains(w.Error(), "\n") {
				t.Errorf("more than a line: %v", w)
			}
			if v, err := mp.Call(t.Context(), pool, square, 3); v != 9 || err != nil { // E28
				t.Errorf("the next task: %d, %v", v, err)
			}
		})
	}

	atFullStrength(t, pool, 2)
}

// quiet discards the output of workers.
func quiet() mp.Output { return mp.Output{Stdout: discard{}, Stderr: discard{}} }

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// atFullStrength waits until n workers are in service.
func atFullStrength(t *testing.T, pool *mp.Pool, n int) {
	t.Helper()
	for deadline := time.Now().Add(never); ; time.Sleep(time.Millisecond) {
		pids := map[int]bool{}
		for _, w := range pool.Workers() {
			if syscall.Kill(w.PID, 0) == nil {
				pids[w.PID] = true
			}
		}
		if len(pids) == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d workers, want %d", len(pids), n)
		}
	}
}

const (
	elements = 10_000
	killers  = 10
)

func notes(t *testing.T) (in []noted, file string) {
	file = filepath.Join(t.TempDir(), "notes")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	in = make([]noted, elements)
	for i := range in {
		in[i] = noted{N: i, File: file}
	}
	return in, file
}

// readNotes returns how often each number occurs in the file.
func readNotes(t *testing.T, file string) map[int]int {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	times := map[int]int{}
	for line := range strings.Lines(string(b)) {
		n, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		times[n]++
	}
	return times
}

// A worker that dies costs exactly the one task that it was running. Other tasks of its chunks are
// neither lost nor run twice.
func TestExactlyOneTaskIsLost(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{})
	in, file := notes(t)
	for k := range killers {
		in[elements/killers*k+elements/killers/2].Die = true
	}
	out, err := mp.Map(t.Context(), pool, note, in, mp.AllErrors())
	var failed mp.ElementErrors
	if !errors.As(err, &failed) || len(failed) != killers {
		t.Fatalf("got %v", err)
	}

	bad := map[int]bool{}
	for _, e := range failed {
		var w *mp.WorkerError
		if !errors.As(e, &w) || !in[e.Index].Die || w.Signal != syscall.SIGKILL {
			t.Errorf("got %v", e)
		}
		bad[e.Index] = true
	}

	times := readNotes(t, file)
	for i, v := range out {
		if !bad[i] && v != i {
			t.Errorf("element %d is %d", i, v)
		}
		if times[i] != 1 {
			t.Errorf("element %d was run %d times", i, times[i])
		}
	}

	atFullStrength(t, pool, mp.NumCPU())
}

// E20 E21: workers are killed from outside at random times.
func TestKillsAtRandom(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{})
	in, file := notes(t)
	ctx, stop := context.WithCancel(t.Context())
	var killing sync.WaitGroup
	kills := 0
	killing.Go(func() {
		for r := rand.New(rand.NewPCG(1, 2)); ctx.Err() == nil; {
			for range r.IntN(200) {
				if len(pool.Workers()) > 0 { // takes a few microseconds
					continue
				}
			}
			if ws := pool.Workers(); len(ws) > 0 && kills < 200 {
				// A worker's number is not reused while the pool lists it.
				if syscall.Kill(ws[r.IntN(len(ws))].PID, syscall.SIGKILL) == nil {
					kills++
				}
			}
		}
	})

	out, err := mp.Map(t.Context(), pool, note, in, mp.AllErrors())
	stop()
	killing.Wait()
	var failed mp.ElementErrors
	errors.As(err, &failed)
	if len(failed) > kills {
		t.Errorf("%d errors by %d kills", len(failed), kills)
	}
	t.Logf("%d kills, %d errors", kills, len(failed))
	missing := map[int]bool{}
	for _, e := range failed {
		var w *mp.WorkerError
		if !errors.As(e, &w) {
			t.Errorf("got %v", e)
		}
		missing[e.Index] = true
	}

	times := readNotes(t, file)
	for i, v := range out {
		switch {
		case times[i] > 1:
			t.Errorf("element %d was run %d times", i, times[i])
		case !missing[i] && (v != i || times[i] != 1):
			t.Errorf("element %d is %d and was run %d times", i, v, times[i])
		}
	}

	atFullStrength(t, pool, mp.NumCPU())
}

// E24: an argument or a result that cannot be decoded is the error of that task alone.
func TestArgumentCannotBeDecoded(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	_, err := mp.Call(t.Context(), pool, picky, pickyArg{Bad: true})
	var c *mp.CodecError
	if !errors.As(err, &c) || c.What != "argument" || c.Doing != "decoded" {
		t.Errorf("got %v", err)
	}
	if _, err := mp.Call(t.Context(), pool, picky, pickyArg{}); err != nil {
		t.Error(err)
	}
	_, err = mp.Call(t.Context(), pool, pickyOut, true)
	if !errors.As(err, &c) || c.What != "result" || c.Doing != "decoded" {
		t.Errorf("got %v", err)
	}
}

var (
	picky    = mp.Register("picky", func(context.Context, pickyArg) (int, error) { return 1, nil })
	pickyOut = mp.Register("pickyOut", func(_ context.Context, bad bool) (pickyArg, error) { return pickyArg{bad}, nil })
)

// A pickyArg can be encoded. If it is Bad, it cannot be decoded.
type pickyArg struct{ Bad bool }

func (p pickyArg) MarshalBinary() ([]byte, error) {
	if p.Bad {
		return []byte("bad"), nil
	}
	return nil, nil
}

func (p *pickyArg) UnmarshalBinary(b []byte) error {
	if len(b) > 0 {
		return errors.New("not like this")
	}
	return nil
}

// Arguments and results of all sizes arrive, also those that do not fit into the ring.
func TestLargePayloads(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 2})
	sizes := []int{0, 1, 60 << 10, 64 << 10, 65 << 10, 1 << 20, 5 << 20, 100, 3 << 20, 64<<10 - 5}
	out, err := mp.Map(t.Context(), pool, blobOut, sizes)
	if err != nil {
		t.Fatal(err)
	}
	back, err := mp.Map(t.Context(), pool, blobIn, out)
	if err != nil {
		t.Fatal(err)
	}

	for i, n := range sizes {
		if len(out[i]) != n || back[i] != n {
			t.Errorf("%d bytes arrived as %d and %d", n, len(out[i]), back[i])
		}
	}

	many := make([]int, 500) // more than any ring holds
	for i := range many {
		many[i] = 20 << 10
	}
	if out, err = mp.Map(t.Context(), pool, blobOut, many); err != nil || len(out[499]) != 20<<10 {
		t.Errorf("got %v", err)
	}
}
