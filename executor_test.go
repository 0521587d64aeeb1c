package mp_test

import (
	"context"
	"sync/atomic"
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

// A long Map on an Inline does not delay a Call, for which one of its tasks may wait.
func TestInlineTakesTurns(t *testing.T) {
	mptest.NoLeaks(t)
	x, err := mp.NewInline(mp.InlineConfig{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	nesting.x = x
	const n = 10_000
	if _, err := mp.Map(t.Context(), x, nesting.outer, make([]int, n)); err != nil {
		t.Fatal(err)
	}
	if before := nesting.before.Load(); before > n/2 {
		t.Errorf("%d of %d elements had begun before the Call", before, n)
	}
}

var nesting struct {
	x             mp.Executor
	begun, before atomic.Int64
	outer, inner  *mp.Func[int, int]
}

func init() {
	nesting.inner = mp.Register("nesting.inner", func(context.Context, int) (int, error) {
		nesting.before.Store(nesting.begun.Load())
		return 0, nil
	})
	nesting.outer = mp.Register("nesting.outer", func(ctx context.Context, _ int) (int, error) {
		if nesting.begun.Add(1) == 1 {
			return mp.Call(ctx, nesting.x, nesting.inner, 0)
		}
		return 0, nil
	})
}
