package query_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/go-multiprocessing/mp/internal/query"
)

func init() {
	query.Handle("echo", func(_ context.Context, arg []byte) ([]byte, error) { return arg, nil })
	query.Handle("fail", func(context.Context, []byte) ([]byte, error) { return []byte("half"), errors.New("it failed") })
	query.Handle("large", func(context.Context, []byte) ([]byte, error) { return make([]byte, query.MaxAnswer+1), nil })
	query.Handle("largest", func(context.Context, []byte) ([]byte, error) { return make([]byte, query.MaxAnswer), nil })
	query.Handle("long", func(context.Context, []byte) ([]byte, error) { return nil, errors.New(strings.Repeat("x", 32<<20)) })
	query.Handle("panic", func(context.Context, []byte) ([]byte, error) { panic("on purpose") })
}

func answer(t *testing.T, ctx context.Context, name string, arg []byte) ([]byte, error) {
	t.Helper()
	q, err := query.Question(name, arg)
	if err != nil {
		t.Fatal(err)
	}
	return query.Result(query.Answer(ctx, q))
}

// Answers and errors come back. A worker without a Handler for the query says so.
func TestAnswer(t *testing.T) {
	if got, err := answer(t, t.Context(), "echo", []byte("a\x00\xff")); string(got) != "a\x00\xff" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := answer(t, t.Context(), "echo", nil); len(got) != 0 || err != nil {
		t.Errorf("%q, %v", got, err)
	}

	for name, want := range map[string]string{"fail": "it failed", "panic": "panic: on purpose", "unknown": "import the package"} {
		if got, err := answer(t, t.Context(), name, nil); got != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := answer(t, over, "echo", nil); err == nil {
		t.Error("what nobody needs is answered")
	}
}

// Bytes that are not a query or not an answer cause an error.
func TestGarbage(t *testing.T) {
	for _, data := range [][]byte{nil, {0xff}, []byte("hello"), {0xa1, 0x01}} {
		if _, err := query.Result(query.Answer(t.Context(), data)); err == nil {
			t.Errorf("% x is a question", data)
		}
		if _, err := query.Result(data); err == nil {
			t.Errorf("% x is an answer", data)
		}
	}
}

// An answer or error that is too large becomes an error that gives its size. A forged answer costs
// little memory.
func TestBounds(t *testing.T) {
	for _, name := range []string{"large", "long"} {
		got, err := answer(t, t.Context(), name, nil)
		if got != nil || err == nil || len(err.Error()) > 1<<20 || !strings.Contains(err.Error(), "bytes") {
			t.Errorf("%s: %d bytes, %.100v", name, len(got), err)
		}
	}
	if got, err := answer(t, t.Context(), "largest", nil); len(got) != query.MaxAnswer || err != nil {
		t.Errorf("the largest answer: %d bytes, %v", len(got), err)
	}

	array := append([]byte{0xa1, 1, 0x9a, 0, 0x7f, 0xff, 0xff}, make([]byte, 0x7fffff)...)
	for _, data := range [][]byte{array, append([]byte{0xa1, 1}, bytes.Repeat([]byte{0x81}, 5_000_000)...)} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := query.Result(data)
		runtime.ReadMemStats(&after)
		if all := after.TotalAlloc - before.TotalAlloc; err == nil || all > 1<<20 {
			t.Errorf("%d bytes allocated: %v", all, err)
		}
	}
}
