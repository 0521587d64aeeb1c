//go:build linux

package mp_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp"
)

// eachContainment runs a test with each containment that needs no control group.
func eachContainment(t *testing.T, test func(*testing.T, mp.Containment)) {
	for _, c := range []mp.Containment{mp.ContainGroup, mp.ContainSubreaper, mp.ContainNamespace} {
		t.Run(string(c), func(t *testing.T) {
			if c == mp.ContainNamespace {
				pool, err := mp.NewPool(mp.PoolConfig{Workers: 1, RequireContainment: c, Output: mp.Output{Logger: slog.New(slog.DiscardHandler)}})
				if errors.Is(err, syscall.EPERM) {
					t.Skip("no namespaces here: ", err)
				} else if err != nil {
					t.Fatal(err)
				}
				_ = pool.Close()
			}
			test(t, c)
		})
	}
}

// Every containment reports the end of a process in the same way.
func TestProcessEndsContained(t *testing.T) {
	eachContainment(t, func(t *testing.T, contain mp.Containment) {
		config := mp.ProcessConfig{RequireContainment: contain, Output: mp.Output{Stderr: io.Discard}}
		for how, want := range map[string]int{"fine": 1, "exit 0": 0, "exit 3": 3, "SIGKILL": -9, "panic": 2, "goexit": 1, "goroutine panic": 2} {
			p := startProcess(t, dieIn, how, config)
			_, err := p.Wait(t.Context())
			if code, ok := p.ExitCode(); code != want || !ok {
				t.Errorf("%s: exit code %d, %v", how, code, err)
			}
		}

		for how, c := range map[string]struct {
			end  func(*mp.Process[string]) error
			want syscall.Signal
		}{
			"Terminate": {(*mp.Process[string]).Terminate, syscall.SIGTERM},
			"Kill":      {(*mp.Process[string]).Kill, syscall.SIGKILL},
			"Kill of a stopped one": {func(p *mp.Process[string]) error {
				return errors.Join(p.Signal(syscall.SIGSTOP), p.Kill())
			}, syscall.SIGKILL},
		} {
			open, name := newFIFO(t)
			p := startProcess(t, wait, waiting{FIFO: name}, config)
			begun := open()
			if err := c.end(p); err != nil {
				t.Errorf("%s: %v", how, err)
			}
			_, err := p.Wait(t.Context())
			if code, ok := p.ExitCode(); code != -int(c.want) || !ok {
				t.Errorf("%s: exit code %d, %v", how, code, err)
			}
			begun()
		}
	})
}

// The error for an executable that is not a worker says what is wrong with it.
func TestWrongExecutableContained(t *testing.T) {
	idle, err := exec.LookPath("true")
	if err != nil {
		t.Skip("no program that does nothing: ", err)
	}

	eachContainment(t, func(t *testing.T, contain mp.Containment) {
		for _, c := range []struct {
			exe, says string
			is        error
		}{{idle, idle + " ended before mp.Init (exit code 0)", nil}, {"/no/such/file", "/no/such/file", fs.ErrNotExist}, {os.DevNull, os.DevNull, fs.ErrPermission}} {
			for range 5 { // the process may end before or after the pool has noticed its start
				config := mp.PoolConfig{Workers: 1, Executable: c.exe, RequireContainment: contain, Output: mp.Output{Logger: slog.New(slog.DiscardHandler)}}
				pool, err := mp.NewPool(config)
				if err == nil {
					_ = pool.Close()
				}
				if err == nil || !strings.Contains(err.Error(), c.says) || c.is != nil && !errors.Is(err, c.is) {
					t.Errorf("%s: got %v", c.exe, err)
				}
			}
		}
	})
}

type nest struct {
	Contain string
	CPU     int // 0 for any, otherwise the number of the processor plus 1
	Memory  int64
}

var (
	// affinity returns onlyCPU of the worker.
	affinity = mp.Register("affinity", func(context.Context, int) (cpu int, err error) { return onlyCPU() })
	// nests starts a pool of its own and checks its properties.
	nests = mp.Register("nests", func(ctx context.Context, n nest) (int, error) { return 0, n.do(ctx) })
	// nestLeaves closes a pool of its own after a task has left a daemon behind.
	nestLeaves = mp.Register("nestLeaves", func(ctx context.Context, contain string) (int, error) {
		pool, err := mp.NewPool(mp.PoolConfig{Workers: 1, RequireContainment: mp.Containment(contain)})
		if err != nil {
			return 0, err
		}
		defer pool.Close()
		return mp.Call(ctx, pool, daemon, 0)
	})
	daemon = mp.Register("daemon", func(context.Context, int) (int, error) {
		c := exec.Command("sleep", "1000")
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		return 0, c.Start()
	})
)

// onlyCPU returns the only processor that this thread may run on, or -1 if there are several.
func onlyCPU() (int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil || set.Count() != 1 {
		return -1, err
	}
	cpu := 0
	for !set.IsSet(cpu) {
		cpu++
	}
	return cpu, nil
}

func (n nest) do(ctx context.Context) error {
	c := mp.PoolConfig{Workers: 1, RequireContainment: mp.Containment(n.Contain), Recycle: mp.Recycle{Memory: n.Memory}}
	if n.CPU > 0 {
		c.Limits.CPUs = [][]int{{n.CPU - 1}}
	}

	pool, err := mp.NewPool(c)
	if err != nil {
		return err
	}
	defer pool.Close()
	if v, err := mp.Call(ctx, pool, square, 7); v != 49 || err != nil {
		return errors.Join(errors.New("a wrong result"), err)
	}
	if n.CPU > 0 {
		if cpu, err := mp.Call(ctx, pool, affinity, 0); cpu != n.CPU-1 || err != nil {
			return errors.Join(errors.New("it is not pinned"), err)
		}
	}

	if n.Memory == 0 {
		return nil
	}
	if _, err := mp.Call(ctx, pool, grow, int(n.Memory)*3/2); err != nil {
		return err
	}
	if _, err := mp.Call(ctx, pool, square, 7); err != nil {
		return err
	}
	if s := pool.Stats(); s.Recycled != 1 || s.Died != 0 {
		return errors.New("a large worker went on")
	}

	return nil
}

// Pools work inside workers of every containment. In a PID namespace, /proc shows other process
// numbers than the system calls use.
func TestNestedContained(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts some sixty pools")
	}

	cpu := processors(t)[0]
	eachContainment(t, func(t *testing.T, outer mp.Containment) {
		mark := markOf(t)
		pool := newPool(t, mp.PoolConfig{Workers: 1, RequireContainment: outer, Env: []string{mark}})
		for _, inner := range []mp.Containment{mp.ContainGroup, mp.ContainSubreaper, mp.ContainNamespace} {
			for _, n := range []nest{{}, {CPU: cpu + 1}, {Memory: 128 << 20}} {
				n.Contain = string(inner)
				if _, err := mp.Call(t.Context(), pool, nests, n); err != nil {
					t.Errorf("%+v: %v", n, err)
				}
			}

			if inner == mp.ContainGroup {
				continue // it does not kill daemons
			}
			if _, err := mp.Call(t.Context(), pool, nestLeaves, string(inner)); err != nil {
				t.Errorf("%s: %v", inner, err)
			}

			if left := sleepers(mark); len(left) > 0 {
				t.Errorf("%s: a closed pool has left %v", inner, left)
				for pid := range left {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			}
		}
	})
}
