package mptest_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/mptest"
)

var length = mp.Register("length", func(_ context.Context, s string) (int, error) { return len(s), nil })

// total is the function under test. It works with any executor.
func total(ctx context.Context, ex mp.Executor, words []string) (sum int, err error) {
	lengths, err := mp.Map(ctx, ex, length, words)
	for _, n := range lengths {
		sum += n
	}
	return sum, err
}

// The tests of a program that uses mp need a TestMain, which enables the test binary to start
// workers:
//
//	func TestMain(m *testing.M) { mptest.Main(m) }
//
// A test with a pool starts real processes. A test that needs only the results can use [mp.Inline],
// where breakpoints work too.
func Example() {
	_ = func(t *testing.T) { // func TestTotal(t *testing.T) {
		mptest.NoLeaks(t)
		pool, err := mp.NewPool(mp.PoolConfig{Workers: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer pool.Close()
		if n, err := total(t.Context(), pool, []string{"a", "bc"}); n != 3 || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
	}

	inline, err := mp.NewInline(mp.InlineConfig{})
	if err != nil {
		panic(err)
	}

	defer inline.Close()
	fmt.Println(total(context.Background(), inline, []string{"a", "bc"}))
	// Output: 3 <nil>
}
