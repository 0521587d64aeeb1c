//go:build linux

package mp_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/race"
	"github.com/go-multiprocessing/mp/ipc"
)

type usage struct{ Nice, Files, Core, Peak int }

var (
	// fill allocates and touches the given number of bytes, 1 MiB at a time, and keeps them.
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

// A task that needs 4 GiB with a limit of 256 MiB fails with ReasonOutOfMemory, and never has much
// more than the limit. A task that stays within the limit then succeeds.
func TestMemoryLimit(t *testing.T) {
	if race.Enabled {
		outgrowsLimit(t, "", "samples")
		return
	}
	outgrowsLimit(t, "", "RLIMIT_DATA, samples")
}

// A control group enforces the limit too. If it has no memory controller, the other mechanisms
// enforce the limit, and Stats reports that.
func TestMemoryLimitOfCgroup(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector's shadow of the memory needs more than the limit")
	}
	for version, parent := range cgroups(t) {
		t.Run(version, func(t *testing.T) {
			group, _ := delegate(t, parent, os.Getuid(), version)
			by := "cgroup " + version
			if version == "v2" && !hasMemory(t, group) {
				by = "RLIMIT_DATA, samples"
			}
			outgrowsLimit(t, group, by)
		})
	}
}

func hasMemory(t *testing.T, group string) bool {
	b, err := os.ReadFile(filepath.Join(group, "cgroup.controllers"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.Contains(strings.Fields(string(b)), "memory")
}

func outgrowsLimit(t *testing.T, group, by string) {
	limit := 256 << 20
	if race.Enabled { // the detector's shadow memory counts, and is written in large pieces
		limit = 768 << 20
	}
	file := filepath.Join(t.TempDir(), "peak")
	pool := newPool(t, mp.PoolConfig{Workers: 1, Limits: mp.Limits{Memory: int64(limit), Cgroup: group}})
	if s := pool.Stats(); s.Enforced.Memory != by {
		t.Errorf("the limit is enforced by %q", s.Enforced.Memory)
	}

	for range 2 {
		_, err := mp.Call(t.Context(), pool, fill, filling{4 << 30, file})
		var w *mp.WorkerError
		// Without a group the Go runtime may crash before it can say why.
		if !errors.As(err, &w) || w.Reason != mp.ReasonOutOfMemory && (w.Reason != mp.ReasonFatal || strings.HasPrefix(by, "cgroup")) {
			t.Fatalf("got %v", err)
		}
		if n, err := mp.Call(t.Context(), pool, fill, filling{64 << 20, file}); n != 64 || err != nil {
			t.Fatalf("what fits: %d, %v", n, err)
		}
	}

	const garbage, program = 48 << 20, 32 << 20 // the limit's allowance for garbage; pages of the program's file
	if peak := peakIn(t, file); peak == 0 || peak > limit+garbage+program && !race.Enabled {
		t.Errorf("a worker had %d MiB", peak>>20)
	}
}

type filling struct {
	Bytes int
	File  string // where to note the peak memory of the process
}

// note appends the peak memory of the process to the file.
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
	if s, want := pool.Stats(), (mp.Enforced{OpenFiles: "RLIMIT_NOFILE", Nice: "setpriority", NoCoreDumps: "RLIMIT_CORE"}); s.Enforced != want {
		t.Errorf("enforced by %+v", s.Enforced)
	}

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
		"CPUs": {CPUs: [][]int{{0}, {}}}, "CPUs is [[-1]]": {CPUs: [][]int{{-1}}}, "Cgroup": {Cgroup: t.TempDir()},
		"Memory": {Memory: 1 << 20}, "OpenFiles": {OpenFiles: 3}, "Nice": {Nice: 20},
	} {
		if _, err := mp.NewPool(mp.PoolConfig{Limits: l}); err == nil || !strings.Contains(err.Error(), "Limits."+field) {
			t.Errorf("got %v", err)
		}
	}
}

// processors returns the processors that this process may run on.
func processors(t *testing.T) (numbers []int) {
	var mine unix.CPUSet
	if err := unix.SchedGetaffinity(0, &mine); err != nil {
		t.Fatal(err)
	}
	for n := range 1024 {
		if mine.IsSet(n) {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// B9: each slot keeps its processors, even when a spare or a replacement fills it.
func TestPinning(t *testing.T) {
	var sets [][]int
	for _, n := range processors(t) {
		sets = append(sets, []int{n})
	}
	pool := newPool(t, mp.PoolConfig{Workers: len(sets), Spares: 1, Limits: mp.Limits{CPUs: sets}})
	for range 3 {
		if err := pool.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := pool.Stats().Died
		for _, w := range pool.Workers() {
			if got, want := affinities(t, w.PID), fmt.Sprint(sets[w.Worker-1][0]); !slices.Equal(got, []string{want}) {
				t.Errorf("worker %d may run on %v, not %s", w.Worker, got, want)
			}
			_ = syscall.Kill(w.PID, syscall.SIGKILL)
		}
		until(t, "all are dead", func() bool { return pool.Stats().Died == before+len(sets) })
	}

	_, err := mp.NewPool(mp.PoolConfig{Workers: 1, Limits: mp.Limits{CPUs: [][]int{{1023}}}})
	if runtime.NumCPU() < 1000 && (err == nil || !strings.Contains(err.Error(), "[1023]")) {
		t.Errorf("a processor that there is not: %v", err)
	}
}

// noteCPU appends the number of the only processor that it may run on, or -1, to a file.
var noteCPU = mp.Register("noteCPU", func(_ context.Context, file string) (int, error) {
	cpu, err := onlyCPU()
	if err != nil {
		return 0, err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	_, err = fmt.Fprintln(f, cpu)
	return 0, err
})

// Workers are pinned before their Setup runs. Spares are pinned too if all workers have the same
// processors.
func TestSetupIsPinned(t *testing.T) {
	mine := processors(t)
	if len(mine) < 2 {
		t.Skip("all that there is is one processor")
	}

	cpu := mine[0]
	eachContainment(t, func(t *testing.T, contain mp.Containment) {
		file := filepath.Join(t.TempDir(), "cpus")
		pool := newPool(t, mp.PoolConfig{Workers: 1, Spares: 1, RequireContainment: contain, Setup: noteCPU.With(file), Limits: mp.Limits{CPUs: [][]int{{cpu}}}})
		if err := pool.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		until(t, "the spare is ready", func() bool { return pool.Stats().Spares == 1 })
		b, err := os.ReadFile(file)
		if want := fmt.Sprintf("%d\n%d\n", cpu, cpu); string(b) != want || err != nil {
			t.Errorf("the setups ran on %q, %v", b, err)
		}
	})
}

// affinities returns the distinct sets of processors that the threads of a process may use.
func affinities(t *testing.T, pid int) (sets []string) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, _ := os.ReadFile(file)
		_, rest, _ := strings.Cut(string(b), "Cpus_allowed_list:")
		line, _, _ := strings.Cut(rest, "\n")
		sets = append(sets, strings.TrimSpace(line))
	}
	slices.Sort(sets)
	return slices.Compact(sets)
}

// When memory is short, the system kills a worker rather than its parent, because a worker has a
// higher oom_score_adj. That holds too if the parent is itself a worker.
func TestWorkersGoFirst(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	scores, err := mp.Call(t.Context(), pool, oomScores, 2)
	if err != nil {
		t.Fatal(err)
	}
	own := must(oomScore())
	for _, score := range scores {
		if own = min(own+500, 1000); score != own {
			t.Errorf("%v: not 500 more each, or 1000", scores)
		}
	}
}

func oomScore() (int, error) {
	b, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

// oomScores returns the scores of n nested workers, the outermost first.
var oomScores *mp.Func[int, []int]

func init() {
	oomScores = mp.Register("oomScores", func(ctx context.Context, n int) ([]int, error) {
		own, err := oomScore()
		if err != nil || n == 1 {
			return []int{own}, err
		}
		p, err := mp.NewPool(mp.PoolConfig{Workers: 1})
		if err != nil {
			return nil, err
		}
		defer p.Close()
		theirs, err := mp.Call(ctx, p, oomScores, n-1)
		return append([]int{own}, theirs...), err
	})
}

// However a task allocates memory, its worker ends before it has used much more than its limit.
// That holds while four tasks allocate at once and their parent keeps all processors busy.
func TestMemoryLimitOfEachWay(t *testing.T) {
	if testing.Short() {
		t.Skip("another program does it, which -race does not reach")
	}

	const limit, slack = 256, 128 // MiB
	const died = "map[out of memory:4]"
	exe := build(t, "memory")
	for way, want := range map[string][]string{
		"huge": {died}, "large": {died}, "middle": {died}, "small": {died}, "overmap": {died}, "stacks": {died}, "sealed": {died},
		"mmap":   {died, "map[mp: panic in main.grow: cannot allocate memory:4]"}, // the task sees that it gets nothing
		"malloc": {died, "map[mp: panic in main.grow: malloc has failed:4]"},
	} {
		t.Run(way, func(t *testing.T) {
			for range *memoryRuns {
				got := strings.TrimSpace(run(t, exe, way, "4", strconv.Itoa(limit)))
				if got == "no cgo" {
					if os.Getenv("MP_REQUIRE_CGO") != "" {
						t.Fatal(got)
					}
					t.Skip(got)
				}
				number, ends, _ := strings.Cut(got, " ")
				if peak, err := strconv.Atoi(number); err != nil || peak > limit+slack || !slices.Contains(want, ends) {
					t.Fatal(got)
				}
			}
		})
	}
}

var memoryRuns = flag.Int("memory.runs", 1, "how often each way to allocate is tried")

// Shared memory and mapped files do not count.
func TestMemoryLimitIsOfPrivateMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("it reads gigabytes")
	}

	pool := newPool(t, mp.PoolConfig{Workers: 1, Limits: mp.Limits{Memory: 256 << 20}})
	a := must(ipc.NewArray[int64](4 << 30 / 8))
	defer a.Close()
	a.Slice()[a.Len()-4096/8] = 7
	file := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, 4<<30); err != nil {
		t.Fatal(err)
	}

	for range 3 {
		if n, err := mp.Call(t.Context(), pool, readWhole, reading{a, file}); n != 7 || err != nil {
			t.Fatal(n, err)
		}
	}
}

type reading struct {
	Array *ipc.Array[int64]
	File  string
}

var readWhole = mp.Register("readWhole", func(_ context.Context, r reading) (sum int64, err error) {
	s := r.Array.Slice() // only the pages that are read take memory
	for i := len(s) - 512<<20/8; i < len(s); i += 4096 / 8 {
		sum += s[i]
	}
	f, err := os.Open(r.File)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for _, flags := range []int{unix.MAP_SHARED, unix.MAP_PRIVATE} {
		m, err := unix.Mmap(int(f.Fd()), 0, 4<<30, unix.PROT_READ, flags)
		if err != nil {
			return 0, err
		}
		for i := 0; i < len(m); i += 1 << 20 {
			sum += int64(m[i])
		}
		if err := unix.Munmap(m); err != nil {
			return 0, err
		}
	}

	return sum, r.Array.Close()
})

// If a worker exceeds its limit in Setup, the StartError says so.
func TestMemoryLimitInSetup(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector's shadow of the memory needs more than the limit")
	}
	pool := newPool(t, mp.PoolConfig{Workers: 1, Setup: hoardHuge.With(3 << 29), Limits: mp.Limits{Memory: 256 << 20}})
	var start *mp.StartError
	if err := pool.Ready(t.Context()); !errors.As(err, &start) || !strings.Contains(err.Error(), "more memory than Limits.Memory") {
		t.Error(err)
	}
}

var hoardHuge = mp.Register("hoardHuge", func(_ context.Context, n int) (int, error) {
	m, err := unix.MmapPtr(-1, 0, nil, uintptr(n), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err == nil { // as the Go runtime does, which may crash if it is refused
		_, err = unix.MmapPtr(-1, 0, m, uintptr(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_FIXED)
	}
	if err != nil {
		return 0, err
	}
	select {}
})

// recycling keeps mib MiB in use, and replaces each MiB several times.
var recycling = mp.Register("recycling", func(_ context.Context, mib int) (sum int, _ error) {
	kept := make([][]byte, mib)
	for i := range 10 * mib {
		piece := make([]byte, 1<<20)
		// Memory that is not touched is allocated faster than any collector frees it.
		for j := i % 4096; j < len(piece); j += 4096 {
			piece[j] = 1
		}
		kept[i%mib] = piece
	}
	for i, piece := range kept {
		sum += int(piece[(9*mib+i)%4096])
	}
	return sum, nil
})

// A task that produces much garbage, but never uses as much memory as its limit, succeeds.
func TestMemoryLimitAndGarbage(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector's shadow of the memory needs more than the limit")
	}
	const mib = 120
	for _, procs := range []int{1, 2} {
		pool := newPool(t, mp.PoolConfig{Workers: 1, Procs: procs, Limits: mp.Limits{Memory: 256 << 20}})
		for range 3 {
			if n, err := mp.Call(t.Context(), pool, recycling, mib); err != nil || n != mib {
				t.Errorf("%d processors: %d, %v", procs, n, err)
			}
		}
	}
}

// The smallest limit that is allowed leaves room for a task.
func TestLeastMemoryLimit(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector's shadow of the memory needs more than the limit")
	}
	pool := newPool(t, mp.PoolConfig{Workers: 1, Limits: mp.Limits{Memory: 64 << 20}})
	for range 3 {
		if n, err := mp.Call(t.Context(), pool, recycling, 16); err != nil || n != 16 {
			t.Errorf("%d, %v", n, err)
		}
	}
}

var putLarge = mp.Register("putLarge", func(ctx context.Context, q *ipc.Queue[[]byte]) (int, error) {
	b := make([]byte, 1<<20)
	for i := range 1000 {
		b[0], b[1<<20-1] = byte(i), byte(i)
		if err := q.Put(ctx, b); err != nil {
			return i, err
		}
	}
	return 1000, nil
})

// A producer that puts more elements than its memory limit allows is killed. The elements that it
// has put are intact, and others can use the queue.
func TestQueueUnderMemoryLimit(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector's shadow of the memory needs more than the limit")
	}
	for version, parent := range cgroups(t) {
		t.Run(version, func(t *testing.T) {
			group, _ := delegate(t, parent, os.Getuid(), version)
			if version == "v2" && !hasMemory(t, group) {
				t.Skip("no memory controller")
			}

			pool := newPool(t, mp.PoolConfig{Workers: 1, Limits: mp.Limits{Memory: 128 << 20, Cgroup: group}})
			q := must(ipc.NewQueue[[]byte](ipc.Capacity(2000)))
			t.Cleanup(func() { _ = q.Discard() })
			var died *mp.WorkerError
			if n, err := mp.Call(t.Context(), pool, putLarge, q); !errors.As(err, &died) || died.Reason != mp.ReasonOutOfMemory {
				t.Fatal(n, err)
			}
			n := q.Len()
			if n < 10 || n > 128 {
				t.Errorf("%d elements of 1 MiB", n)
			}
			if err := q.Put(t.Context(), []byte("ours")); err != nil {
				t.Error(err)
			}

			for i := range n {
				if b, err := q.TryGet(); err != nil || len(b) != 1<<20 || b[0] != byte(i) || b[1<<20-1] != byte(i) {
					t.Fatal(i, len(b), err)
				}
			}

			if b, err := q.TryGet(); string(b) != "ours" || err != nil {
				t.Error(b, err)
			}
		})
	}
}
