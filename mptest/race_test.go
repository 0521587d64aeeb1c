//go:build race && linux

package mptest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
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

// TestRacy is run by TestRaces. It runs a task with a deliberate data race, and checks nothing.
func TestRacy(t *testing.T) {
	if os.Getenv("MPTEST_RACY") == "" {
		t.Skip("for TestRaces")
	}
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 1, Dir: "/"})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	_, _ = mp.Call(t.Context(), pool, racy, struct{}{})
}

// A data race in a worker fails the tests, even if no test sees it.
func TestRaces(t *testing.T) {
	const found = "mptest: data races in 1 process(es)"
	dir := t.TempDir()
	t.Chdir(dir)
	for name, want := range map[string]struct {
		env, says string
		status    int
	}{
		"by default":                 {"", found, 1},
		"elsewhere":                  {"GORACE=log_path=stderr atexit_sleep_ms=0", "PASS", 0},
		"with a space":               {"TMPDIR=" + dir + "/a b", found, 1},
		"with a pattern":             {"TMPDIR=" + dir + "/a[b]*", found, 1},
		"with a quote":               {"TMPDIR=" + dir + "/a'b c", found, 1},
		"with both":                  {"TMPDIR=" + dir + `/a'b"c`, "PASS", 0},
		"from the directory that is": {"TMPDIR=tmp", found, 1},
	} {
		if tmp, ok := strings.CutPrefix(want.env, "TMPDIR="); ok {
			if err := os.MkdirAll(tmp, 0o700); err != nil {
				t.Fatal(err)
			}
		}

		cmd := exec.Command(os.Args[0], "-test.run=^TestRacy$", "-test.v")
		for _, v := range os.Environ() {
			if !strings.HasPrefix(v, "GORACE=") {
				cmd.Env = append(cmd.Env, v)
			}
		}

		cmd.Env = append(cmd.Env, "MPTEST_RACY=1", want.env)
		out, _ := cmd.CombinedOutput()
		if left, _ := filepath.Glob(dir + "/*/mptest-races-*"); len(left) > 0 {
			t.Errorf("%s: left %q", name, left)
		}

		if code := cmd.ProcessState.ExitCode(); code != want.status || !strings.Contains(string(out), want.says) {
			t.Errorf("%s: status %d:\n%s", name, code, out)
		}
	}
}
