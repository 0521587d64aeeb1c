//go:build linux

package mp_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp"
)

type usage struct{ Nice, Files, Core, Peak int }

var (
	// fill touches so many bytes, a piece at a time, and keeps them.
	fill = mp.Register("fill", func(_ context.Context, f filling) (int, error) {
		var all [][]byte
		for n := f.Bytes; n > 0; n -= 1 << 20 {
			if n>>20%8 == 0 {
				if err := f.note(); err != nil {
					return 0, err
				}
			}
			b := make([]byte, 1<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			all = append(all, b)
		}
		return len(all), nil
	})
	use = mp.Register("use", func(context.Context, int) (u usage, err error) {
		var files, core unix.Rlimit
		if err := errors.Join(unix.Getrlimit(unix.RLIMIT_NOFILE, &files), unix.Getrlimit(unix.RLIMIT_CORE, &core)); err != nil {
			return u, err
		}
		nice, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
		return usage{Nice: 20 - nice, Files: int(files.Cur), Core: int(core.Cur)}, err
	})
	openMany = mp.Register("openMany", func(_ context.Context, n int) (int, error) {
		for i := range n {
			f, err := os.Open(os.DevNull)
			if err != nil {
				return i, err
			}
			defer f.Close()
		}
		return n, nil
	})
)

// A task that wants 4 GiB under a cap of 256 MiB ends as out of memory, and never
// had much more than the cap; the others go on, and so does what fits.
func TestMemoryLimit(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's shadow of the memory needs more than the limit")
	}
	const limit = 256 << 20
	file := filepath.Join(t.TempDir(), "peak")
	pool := newPool(t, mp.PoolConfig{Workers: 1, Limits: mp.Limits{Memory: limit}})
	for range 2 {
		_, err := mp.Call(t.Context(), pool, fill, filling{4 << 30, file})
		var w *mp.WorkerError
		if !errors.As(err, &w) || w.Reason != mp.ReasonOutOfMemory {
			t.Fatalf("got %v", err)
		}
		if n, err := mp.Call(t.Context(), pool, fill, filling{64 << 20, file}); n != 64 || err != nil {
			t.Fatalf("what fits: %d, %v", n, err)
		}
	}
	if peak := peakIn(t, file); peak == 0 || peak > limit*5/4 {
		t.Errorf("a worker had %d MiB", peak>>20)
	}
}

type filling struct {
	Bytes int
	File  string // where to note how much memory the process has had
}

// note appends the line about it.
func (f filling) note() error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	line, _, _ := strings.Cut(rest, "\n")
	w, err := os.OpenFile(f.File, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer w.Close()
	_, err = fmt.Fprintln(w, line)
	return err
}

func peakIn(t *testing.T, file string) (peak int) {
	t.Helper()
	notes, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(notes)) {
		var kib int
		if _, err := fmt.Sscanf(strings.TrimSpace(line), "%d kB", &kib); err != nil {
			t.Fatal(err)
		}
		peak = max(peak, kib<<10)
	}
	return peak
}

func TestOtherLimits(t *testing.T) {
	mine, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	pool := newPool(t, mp.PoolConfig{Workers: 1, Limits: mp.Limits{OpenFiles: 64, Nice: 5, NoCoreDumps: true}})
	got, err := mp.Call(t.Context(), pool, use, 0)
	if want := (usage{Nice: max(20-mine, 5), Files: 64}); got != want || err != nil {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if n, err := mp.Call(t.Context(), pool, openMany, 100); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("%d files were opened, %v", n, err)
	}
	if n, err := mp.Call(t.Context(), pool, openMany, 20); n != 20 || err != nil {
		t.Errorf("%d files were opened, %v", n, err)
	}
	for field, l := range map[string]mp.Limits{
		"Memory": {Memory: 1 << 20}, "OpenFiles": {OpenFiles: 3}, "Nice": {Nice: 20},
	} {
		if _, err := mp.NewPool(mp.PoolConfig{Limits: l}); err == nil || !strings.Contains(err.Error(), "Limits."+field) {
			t.Errorf("got %v", err)
		}
	}
}
