//go:build linux

package mptest

import (
	"strings"
	"testing"

	"github.com/go-multiprocessing/mp"
)

func TestMain(m *testing.M) { Main(m) }

// Resources that existed before are not reported as left over, and neither are resources that have
// been closed.
func TestStock(t *testing.T) {
	before := takeStock()
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}

	if _, err := mp.Call(t.Context(), pool, double, 1); err != nil {
		t.Fatal(err)
	}

	left := before.compare()
	for _, kind := range []string{"process ", "descriptor ", "goroutine "} {
		found := false
		for _, l := range left {
			found = found || strings.HasPrefix(l, kind)
		}
		if !found {
			t.Errorf("an open pool without a %s", kind)
		}
	}

	if s := summary(left); !strings.Contains(s, "2 processes") { // the worker and the guard
		t.Error(s)
	}
	if left := takeStock().compare(); len(left) > 0 {
		t.Errorf("found what was there before: %s", left)
	}
	if err := pool.Close(); err != nil {
		t.Fatal(err)
	}
	if left := before.whatIsLeft(); len(left) > 0 {
		t.Error(left)
	}
}
