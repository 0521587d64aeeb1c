//go:build race && linux

package mptest

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/go-multiprocessing/mp"
)

var racy = mp.Register("racy", func(context.Context, struct{}) (n int, err error) {
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() { n++ })
	}
	both.Wait()
	return n, nil
})

// TestRacy is for TestRaces: its task has a data race, on purpose, and it looks at nothing.
func TestRacy(t *testing.T) {
	if os.Getenv("MPTEST_RACY") == "" {
		t.Skip("for TestRaces")
	}
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	_, _ = mp.Call(t.Context(), pool, racy, struct{}{})
}

// A data race in a worker fails the tests, though none of them sees it.
func TestRaces(t *testing.T) {
	for name, want := range map[string]struct {
		gorace, says string
		status       int
	}{
		"by default": {"", "mptest: data races in 1 process(es)", 1},
		"elsewhere":  {"GORACE=log_path=stderr atexit_sleep_ms=0", "PASS", 0},
	} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestRacy$", "-test.v")
		for _, v := range os.Environ() {
			if !strings.HasPrefix(v, "GORACE=") {
				cmd.Env = append(cmd.Env, v)
			}
		}
		cmd.Env = append(cmd.Env, "MPTEST_RACY=1", want.gorace)
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != want.status || !strings.Contains(string(out), want.says) {
			t.Errorf("%s: status %d:\n%s", name, code, out)
		}
	}
}
