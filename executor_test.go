package mp_test

import (
	"testing"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/mptest"
)

func TestMain(m *testing.M) { mptest.Main(m) }

func TestPoolIsExecutor(t *testing.T) {
	mptest.TestExecutor(t, func(t testing.TB) mp.Executor { return newPool(t, mp.PoolConfig{Workers: 2}) })
}

func TestInlineIsExecutor(t *testing.T) {
	mptest.TestExecutor(t, func(t testing.TB) mp.Executor {
		x, err := mp.NewInline(mp.InlineConfig{Workers: 2})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = x.Close() })
		return x
	})
}

// newPool starts a pool that is closed, and has left nothing, when the test ends.
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
