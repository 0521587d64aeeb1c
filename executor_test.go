package mp_test

import (
	"testing"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/mptest"
)

func TestMain(m *testing.M) { mptest.Main(m) }

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
