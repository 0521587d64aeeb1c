//go:build linux

package mp_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/mptest"
)

type requestKey struct{}

func init() {
	mp.RegisterBaggage(func(ctx context.Context, b mp.Baggage) {
		if s, ok := ctx.Value(requestKey{}).(string); ok {
			if s == "panic in inject" {
				panic("in inject, on purpose")
			}
			b["request"] = s
		}
	}, func(ctx context.Context, b mp.Baggage) context.Context {
		switch b["request"] {
		case "":
			return ctx
		case "panic":
			panic("in extract, on purpose")
		case "none":
			return nil
		}
		return context.WithValue(ctx, requestKey{}, b["request"])
	})
}

type carrying struct {
	Text string
	Once string // a file; the worker dies if it can create the file
}

var request = mp.Register("request", func(ctx context.Context, c carrying) (string, error) {
	if c.Once != "" {
		if f, err := os.OpenFile(c.Once, os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			_ = f.Close()
			killSelf()
		}
	}
	s, _ := ctx.Value(requestKey{}).(string)
	return s + c.Text, ctx.Err()
})

// nestedRequest calls request in a pool of its own.
var nestedRequest = mp.Register("nestedRequest", func(ctx context.Context, c carrying) (string, error) {
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 1})
	if err != nil {
		return "", err
	}
	defer pool.Close()
	return mp.Call(ctx, pool, request, c)
})

func requested(ctx context.Context, s string) context.Context {
	return context.WithValue(ctx, requestKey{}, s)
}

// Baggage arrives with small and large arguments, with a retry, with a chunk that moves to another
// worker, and in a pool that belongs to a worker. Concurrent calls keep their own.
func TestBaggage(t *testing.T) {
	mptest.NoLeaks(t)
	pool := newPool(t, mp.PoolConfig{Workers: 2})
	long := strings.Repeat("x", 100<<10)
	for _, text := range []string{"", "small", strings.Repeat("y", 63<<10), long, strings.Repeat("z", 3<<20)} {
		for _, s := range []string{"a", "\xff\x00\n", strings.Repeat("q", 8000)} {
			if got, err := mp.Call(requested(t.Context(), s), pool, request, carrying{Text: text}); got != s+text || err != nil {
				t.Errorf("%d bytes for %d of baggage: got %d, %v", len(text), len(s), len(got), err)
			}
		}
	}

	var futures []*mp.Future[[]string]
	for i := range 20 {
		in := make([]carrying, 300)
		in[i].Text = long
		futures = append(futures, mp.MapAsync(requested(t.Context(), strings.Repeat("r", i)), pool, request, in))
	}

	for i, f := range futures {
		out, err := f.Result(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for k, got := range out {
			if want := strings.Repeat("r", i); k == i && got != want+long || k != i && got != want {
				t.Fatalf("Map %d, element %d: %d bytes", i, k, len(got))
			}
		}
	}

	in := slices.Repeat([]carrying{{Text: "!"}}, 100)
	in[50].Once = t.TempDir() + "/once"
	out, err := mp.Map(requested(t.Context(), "again"), pool, request, in, mp.Retries(1))
	if err != nil || slices.ContainsFunc(out, func(s string) bool { return s != "again!" }) {
		t.Errorf("%q, %v", out, err)
	}

	if got, err := mp.Call(requested(t.Context(), "deep"), pool, nestedRequest, carrying{Text: "er"}); got != "deeper" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// A panic in extract fails only its call, and too much baggage is refused.
func TestBaggageTrouble(t *testing.T) {
	mptest.NoLeaks(t)
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	for _, ex := range []mp.Executor{pool, must(mp.NewInline(mp.InlineConfig{}))} {
		for s, want := range map[string]string{"panic": "in extract, on purpose", "none": "returned no context"} {
			_, err := mp.Call(requested(t.Context(), s), ex, request, carrying{})
			var p *mp.PanicError
			if !errors.As(err, &p) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", s, err)
			}
		}

		much := requested(t.Context(), strings.Repeat("x", 9000))
		_, err := mp.Call(much, ex, request, carrying{})
		_, err2 := mp.Submit(much, ex, request, carrying{}).Result(t.Context())
		_, err3 := mp.Map(much, ex, request, make([]carrying, 3))
		var err4 error
		for _, err4 = range mp.Stream(much, ex, request, slices.Values(make([]carrying, 3))) {
		}
		for _, err := range []error{err, err2, err3, err4} {
			if err == nil || !strings.Contains(err.Error(), "bytes of baggage") {
				t.Error(err)
			}
		}

		if got, err := mp.Call(requested(t.Context(), "ok"), ex, request, carrying{}); got != "ok" || err != nil {
			t.Errorf("afterwards: %q, %v", got, err)
		}
	}

	for _, f := range []func(){
		func() { mp.RegisterBaggage(nil, nil) },
		func() {
			mp.RegisterBaggage(func(context.Context, mp.Baggage) {}, func(ctx context.Context, _ mp.Baggage) context.Context { return ctx })
		},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("RegisterBaggage after Init")
				}
			}()
			f()
		}()
	}
}

var closeFile = mp.Register("closeFile", func(_ context.Context, f *os.File) (int, error) { return 0, f.Close() })

// A panic in inject propagates to the caller, and nothing of the call is left behind.
func TestInjectPanics(t *testing.T) {
	mptest.NoLeaks(t)
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	ctx := requested(t.Context(), "panic in inject")
	null := must(os.Open(os.DevNull))
	defer null.Close()
	files := make([]*os.File, 3)
	for i := range files {
		files[i] = null
	}

	for name, f := range map[string]func(){
		"Call":   func() { _, _ = mp.Call(ctx, pool, closeFile, null) },
		"Submit": func() { mp.Submit(ctx, pool, closeFile, null) },
		"MapAsync": func() {
			mp.MapAsync(ctx, pool, closeFile, files)
		},
		"Map": func() { _, _ = mp.Map(ctx, pool, closeFile, files, mp.OnProgress(func(mp.Progress) {})) },
		"Stream": func() {
			for range mp.Stream(ctx, pool, closeFile, slices.Values(files), mp.OnProgress(func(mp.Progress) {})) {
			}
		},
	} {
		func() {
			defer func() {
				if r := recover(); r != "in inject, on purpose" {
					t.Errorf("%s: %v", name, r)
				}
			}()
			f()
		}()
	}
}
