//go:build linux

package mp_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
)

// keepers returns the children of this process that are keepers of workers.
func keepers() (pids []int) {
	for _, pid := range childrenOf("self") {
		if env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)); strings.Contains(string(env), "\x00MP_PROCESS_KEPT=") {
			pids = append(pids, pid)
		}
	}
	return pids
}

func childrenOf(who string) (pids []int) {
	threads, _ := filepath.Glob("/proc/" + who + "/task/*/children")
	for _, file := range threads {
		b, _ := os.ReadFile(file)
		for _, field := range strings.Fields(string(b)) {
			pid, _ := strconv.Atoi(field)
			pids = append(pids, pid)
		}
	}
	return pids
}

// nextKeeper waits for a keeper that is not in old, and adds it to old.
func nextKeeper(t *testing.T, old map[int]bool) (pid int) {
	t.Helper()
	for deadline := time.Now().Add(never); ; {
		for _, pid := range keepers() {
			if !old[pid] {
				old[pid] = true
				return pid
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("in vain: another keeper")
		}
	}
}

// Keepers that are killed while they start do not count as failed attempts.
func TestKeepersKilledAtStart(t *testing.T) {
	eachContainment(t, func(t *testing.T, contain mp.Containment) {
		if contain == mp.ContainGroup {
			return // it has none
		}
		config := mp.PoolConfig{Workers: 1, RequireContainment: contain, Restart: mp.Restart{Backoff: time.Millisecond}}
		pool := newPool(t, config)
		old := map[int]bool{}
		for range 20 {
			_ = syscall.Kill(nextKeeper(t, old), syscall.SIGKILL)
		}
		until(t, "a worker again", func() bool { return pool.Ready(t.Context()) != nil || len(pool.Workers()) == 1 })
		if _, err := mp.Call(t.Context(), pool, square, 1); err != nil {
			t.Error(err)
		}
	})
}

// When a keeper is killed, its worker and the processes that the worker has started die.
func TestKilledKeeperTakesTheGroup(t *testing.T) {
	eachContainment(t, func(t *testing.T, contain mp.Containment) {
		if contain == mp.ContainGroup {
			return // it has none
		}

		mark := markOf(t)
		pool := newPool(t, mp.PoolConfig{Workers: 1, RequireContainment: contain, Env: []string{mark}})
		for round := range 3 {
			if _, err := mp.Call(t.Context(), pool, child, 0); err != nil {
				t.Fatal(err)
			}
			until(t, "a child", func() bool { return len(sleepers(mark)) == 1 }) // it may not have called exec yet
			for _, pid := range keepers() {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
			until(t, "the worker's end", func() bool { return pool.Stats().Died == round+1 })
			until(t, "its child's end", func() bool { return len(sleepers(mark)) == 0 })
		}
	})
}

// Close does not wait for a keeper that was stopped while it was starting.
func TestCloseWhileStartingKeeperIsStopped(t *testing.T) {
	eachContainment(t, func(t *testing.T, contain mp.Containment) {
		if contain == mp.ContainGroup {
			return // it has none
		}

		for range 50 {
			pool := newPool(t, mp.PoolConfig{Workers: 1, RequireContainment: contain})
			old := map[int]bool{}
			nextKeeper(t, old)
			if err := pool.Resize(2); err != nil {
				t.Fatal(err)
			}

			keeper := nextKeeper(t, old)
			_ = syscall.Kill(keeper, syscall.SIGSTOP)
			until(t, "it has stopped", func() bool { return state(keeper) == "T" })
			caught := len(childrenOf(strconv.Itoa(keeper))) == 0
			closed := make(chan error, 1)
			go func() { closed <- pool.Close() }()
			select {
			case err := <-closed:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(never):
				_ = syscall.Kill(keeper, syscall.SIGKILL)
				t.Fatal("Close hangs")
			}

			if caught {
				return
			}
		}

		t.Skip("no keeper could be stopped in time")
	})
}

// state returns the letter that describes the state of a process in /proc.
func state(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(b), ") ")
	letter, _, _ := strings.Cut(rest, " ")
	return letter
}

// A worker whose socket is closed long before its keeper reports its end is not taken for a live
// worker that has closed its socket.
func TestSlowReportOfTheEnd(t *testing.T) {
	eachContainment(t, func(t *testing.T, contain mp.Containment) {
		if contain == mp.ContainGroup {
			return // it has no keeper that could be slow
		}

		pool := newPool(t, mp.PoolConfig{Workers: 1, RequireContainment: contain})
		if err := pool.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}

		worker := pool.Workers()[0].PID
		keeper := keepers()
		if len(keeper) != 1 {
			t.Fatal(keeper)
		}
		_ = syscall.Kill(keeper[0], syscall.SIGSTOP)
		slow := time.AfterFunc(1500*time.Millisecond, func() { _ = syscall.Kill(keeper[0], syscall.SIGCONT) })
		defer slow.Stop()
		var died *mp.WorkerError
		if _, err := mp.Call(t.Context(), pool, die, "exit 3"); !errors.As(err, &died) || died.Reason != mp.ReasonExit || died.PID != worker {
			t.Errorf("%s: %v", contain, err)
		}
	})
}
