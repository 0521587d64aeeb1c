package ipc_test

import (
	"context"
	"log"
	"os"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/mptest"
)

func TestMain(m *testing.M) { mptest.Main(m) }

// never is the time limit for waits that could otherwise hang a test.
const never = 30 * time.Second

func newPool(t testing.TB, c mp.PoolConfig) *mp.Pool {
	t.Helper()
	mptest.NoLeaks(t)
	p, err := mp.NewPool(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

var getpid = mp.Register("getpid", func(context.Context, int) (int, error) { return os.Getpid(), nil })

// onePID returns the process ID of the worker of a pool with one worker.
func onePID(t *testing.T, pool *mp.Pool) int {
	t.Helper()
	pid, err := mp.Call(t.Context(), pool, getpid, 0)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(never); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("timed out: ", what)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func errOf[T any](_ T, err error) error { return err }

// pool returns a pool for an example. A real program calls mp.Init in main, and then NewPool.
func pool() *mp.Pool {
	p, err := mp.NewPool(mp.PoolConfig{Workers: 2, Output: mp.Output{Stdout: os.Stdout, Stderr: discarded{}}})
	if err != nil {
		log.Fatal(err)
	}
	return p
}

type discarded struct{}

func (discarded) Write(b []byte) (int, error) { return len(b), nil }
