//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/mptest"
)

func TestMain(m *testing.M) { mptest.Main(m) }

func TestMultiply(t *testing.T) {
	a, b := []float64{1, 2, 3, 4}, []float64{5, 6, 7, 8}
	c := []float64{9, 9, 9, 9} // the old contents do not matter
	multiply(c, a, b, 2, 0, 1)
	if want := []float64{19, 22, 9, 9}; !slices.Equal(c, want) {
		t.Errorf("the first row: got %v, want %v", c, want)
	}
	multiply(c, a, b, 2, 1, 2)
	if want := []float64{19, 22, 43, 50}; !slices.Equal(c, want) {
		t.Errorf("got %v, want %v", c, want)
	}
}

// With these sizes, the last band is either a full band or only part of one.
func TestMeasure(t *testing.T) {
	mptest.NoLeaks(t)
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 3})
	if err != nil {
		t.Fatal(err)
	}

	defer pool.Close()
	for _, n := range []int{1, bandRows, 5*bandRows + 3, 16 * bandRows} {
		m, err := measure(t.Context(), pool, 3, n)
		if err != nil {
			t.Fatal(err)
		}

		if !m.equal {
			t.Errorf("%d: the products are not equal", n)
		}
		if bands := (n + bandRows - 1) / bandRows; len(m.pids) != bands {
			t.Errorf("%d: %d bands, not %d", n, len(m.pids), bands)
		}
		if slices.Contains(m.pids, os.Getpid()) {
			t.Errorf("%d: it was multiplied in this process", n)
		}
		if min(m.sequential, m.goroutines, m.workers) <= 0 {
			t.Errorf("%d: a way took no time: %v, %v, %v", n, m.sequential, m.goroutines, m.workers)
		}
	}
}

// The product that the workers computed is not merely compared with itself.
func TestInWorkers(t *testing.T) {
	m, err := newMatrices(20)
	if err != nil {
		t.Fatal(err)
	}

	defer m.close()
	inline, err := mp.NewInline(mp.InlineConfig{})
	if err != nil {
		t.Fatal(err)
	}

	defer inline.Close()
	want, err := m.inSequence(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if slices.Equal(m.C.Slice(), want) {
		t.Error("it is there before anybody has multiplied")
	}
	if _, err := m.inWorkers(t.Context(), inline); err != nil || !slices.Equal(m.C.Slice(), want) {
		t.Errorf("another product, %v", err)
	}
}

var seconds = regexp.MustCompile(`\d+\.\d{3} s +`)

func TestReport(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out, []int{64, 128}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(seconds.ReplaceAllString(out.String(), "N "), "\n")
	want := []string{"64 × 64    0.1 MiB  N N N yes", "128 × 128  0.4 MiB  N N N yes", ""}
	if !strings.HasPrefix(out.String(), "size ") || !slices.Equal(lines[1:], want) {
		t.Errorf("got\n%s", out.String())
	}
}

func TestUnequal(t *testing.T) {
	var out bytes.Buffer
	if err := writeReport(&out, []measurement{{n: 7}}, 2); err != nil || !strings.HasSuffix(out.String(), " no\n") {
		t.Errorf("%v, got\n%s", err, out.String())
	}
}

func TestParseSizes(t *testing.T) {
	if sizes, err := parseSizes([]string{"1", "300"}); err != nil || !slices.Equal(sizes, []int{1, 300}) {
		t.Errorf("got %v, %v", sizes, err)
	}
	for _, bad := range []string{"0", "-1", "x", "", "16385"} {
		if _, err := parseSizes([]string{bad}); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, new(bytes.Buffer), []int{64}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
