package logs

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
)

// forged returns a record with n attributes of one byte each.
func forged(n int) []byte {
	b := binary.BigEndian.AppendUint64([]byte{0xa2, 3, 0x61, 'm', 4, 0x9b}, uint64(n))
	return append(b, bytes.Repeat([]byte{0xa0}, n)...)
}

// sent returns what a handler sends.
func sent(log func(*slog.Logger)) (data []byte) {
	log(slog.New(NewHandler(slog.LevelInfo, func(b []byte) error { data = bytes.Clone(b); return nil })))
	return data
}

// replayed returns the record that arrives.
func replayed(data []byte) string {
	var w bytes.Buffer
	Replay(slog.New(slog.NewJSONHandler(&w, nil)), 3, 44, data)
	return w.String()
}

// many resolves to a group that contains ten more values of type many.
type many struct{}

func (m many) LogValue() slog.Value {
	var all []slog.Attr
	for i := range 10 {
		all = append(all, slog.Any(fmt.Sprint(i), m))
	}
	return slog.GroupValue(all...)
}

// A record that is too large arrives shortened, with a note about what is missing.
func TestTooLargeIsCut(t *testing.T) {
	long := strings.Repeat("x", 4*maxText)
	var args []any
	for i := range 3 * maxAttrs {
		args = append(args, fmt.Sprint("key", i), long[:100])
	}

	for name, log := range map[string]func(*slog.Logger){
		"message":    func(l *slog.Logger) { l.Info(long, "last", "here") },
		"text":       func(l *slog.Logger) { l.Info("m", "a", long, "b", long, "last", "here") },
		"key":        func(l *slog.Logger) { l.Info("m", long, 1, "last", "here") },
		"attributes": func(l *slog.Logger) { l.Info("m", append([]any{"last", "here"}, args...)...) },
		"group":      func(l *slog.Logger) { l.Info("m", "last", "here", slog.Group("g", args...)) },
		"many":       func(l *slog.Logger) { l.Info("m", "last", "here", "many", many{}) },
		"both":       func(l *slog.Logger) { l.Info(long, append([]any{"last", "here", "long", long}, args...)...) },
	} {
		data := sent(log)
		if len(data) == 0 || len(data) > MaxEncoded {
			t.Errorf("%s: %d bytes were sent, of at most %d", name, len(data), MaxEncoded)
		}

		got := replayed(data)
		if !strings.Contains(got, `"last":"here"`) || !strings.Contains(got, "…") || !strings.Contains(got, " more") || !strings.Contains(got, `"pid":44`) {
			t.Errorf("%s: %.200s", name, got)
		}
	}
}

// A forged record costs little memory, and is reported.
func TestForgedRecords(t *testing.T) {
	deep := append(bytes.Repeat([]byte{0xa1, 7, 0x81}, 1_000_000), 0xa0)
	for name, data := range map[string][]byte{
		"attributes": forged(5_000_000),
		"deep":       append([]byte{0xa1, 4, 0x81}, deep...),
		"long":       append([]byte{0xa1, 3, 0x7a, 0, 0x80, 0, 0}, bytes.Repeat([]byte{'x'}, 8<<20)...),
		"endless":    append([]byte{0xa1, 4}, bytes.Repeat([]byte{0x9f}, 1_000_000)...),
		"garbage":    {0xff},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got := replayed(data)
		runtime.ReadMemStats(&after)
		if all := after.TotalAlloc - before.TotalAlloc; all > 1<<20 {
			t.Errorf("%s: %d bytes allocated", name, all)
		}
		if !strings.Contains(got, "cannot be read") || !strings.Contains(got, `"worker":3,"pid":44`) {
			t.Errorf("%s: %.200s", name, got)
		}
	}

	quiet := slog.New(slog.NewTextHandler(panicWriter{}, &slog.HandlerOptions{Level: slog.LevelError}))
	if quiet.Enabled(context.Background(), slog.LevelWarn) {
		t.Fatal("the handler takes warnings")
	}

	Replay(quiet, 1, 2, []byte{0xff})
}

type panicWriter struct{}

func (panicWriter) Write([]byte) (int, error) { panic("written") }
