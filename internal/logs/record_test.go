package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"
)

// both passes a record to a text handler twice, through the wire format and directly, and returns
// both outputs.
func both(t *testing.T, log func(*slog.Logger)) (wire, direct string) {
	t.Helper()
	opts := &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == "worker" || a.Key == "pid") {
			return slog.Attr{}
		}
		return a
	}}
	var w, d bytes.Buffer
	parent := slog.New(slog.NewJSONHandler(&w, opts))
	log(slog.New(NewHandler(slog.LevelDebug, func(data []byte) error {
		Replay(parent, 3, 44, bytes.Clone(data))
		return nil
	})))
	log(slog.New(slog.NewJSONHandler(&d, opts)))
	return w.String(), d.String()
}

func alike(t *testing.T, log func(*slog.Logger)) {
	t.Helper()
	wire, direct := both(t, log)
	if wire != direct || wire == "" {
		t.Errorf("over the wire:\n%sdirectly:\n%s", wire, direct)
	}
}

type valuer struct{ v slog.Value }

func (v valuer) LogValue() slog.Value { return v.v }

type panicky struct{}

func (panicky) LogValue() slog.Value { panic("in LogValue") }

type panickyText struct{}

func (panickyText) String() string { panic("in String") }

// selfish resolves to itself, and endless to a group that contains another endless.
type (
	selfish struct{}
	endless struct{}
)

func (s selfish) LogValue() slog.Value { return slog.AnyValue(s) }
func (e endless) LogValue() slog.Value { return slog.GroupValue(slog.Any("again", e)) }

func TestKindsArrive(t *testing.T) {
	alike(t, func(l *slog.Logger) {
		l.Info("", "bool", true, "not", false, "int", -5, "min", int64(math.MinInt64), "uint", uint64(math.MaxUint64), "float", 1.25,
			"dur", 3*time.Second+1, "neg", -time.Hour, "s", "text", "empty", "", "bad", "\xff", "time", time.Unix(1700000000, 123456789).UTC())
	})
	alike(t, func(l *slog.Logger) { l.Error("msg\nwith \xff lines", "k", "v") })
	alike(t, func(l *slog.Logger) { l.Log(context.Background(), slog.Level(7), "between", "", "empty key") })
	alike(t, func(l *slog.Logger) { l.Debug("odd", []any{"key without value"}...) })
	alike(t, func(l *slog.Logger) {
		l.Info("lv", "v", valuer{slog.IntValue(4)}, "g", valuer{slog.GroupValue(slog.Int("a", 1))})
	})
}

func TestOtherValuesArriveAsText(t *testing.T) {
	wire, _ := both(t, func(l *slog.Logger) {
		l.Info("m", "err", errors.New("broken"), "list", []int{1, 2}, "nil", nil, "f", math.NaN(), "struct", struct{ A int }{1}, "panic", panickyText{})
	})
	for _, want := range []string{`"err":"broken"`, `"list":"[1 2]"`, `"nil":"<nil>"`, `"f":"!ERROR`, `"struct":"{1}"`, `in String`} {
		if !strings.Contains(strings.ReplaceAll(wire, `"f":"NaN"`, `"f":"!ERROR`), want) {
			t.Errorf("%s is not in %s", want, wire)
		}
	}
}

func TestGroupsAndAttrs(t *testing.T) {
	alike(t, func(l *slog.Logger) { l.Info("m", slog.Group("g", "a", 1, slog.Group("h", "b", 2)), "c", 3) })
	alike(t, func(l *slog.Logger) { l.Info("m", slog.Group("", "inlined", 1), slog.Group("none"), slog.Attr{}) })
	alike(t, func(l *slog.Logger) { l.With("a", 1).Info("m", "b", 2) })
	alike(t, func(l *slog.Logger) { l.With("a", 1).WithGroup("g").With("b", 2).WithGroup("h").Info("m", "c", 3) })
	alike(t, func(l *slog.Logger) { l.WithGroup("g").Info("m", "c", 3) })
	alike(t, func(l *slog.Logger) { l.WithGroup("g").WithGroup("h").With("x", 1).Info("m") })
	alike(t, func(l *slog.Logger) { l.WithGroup("g").Info("no attributes") })
	alike(t, func(l *slog.Logger) { l.WithGroup("").With().Info("m", "c", 3) })
	alike(t, func(l *slog.Logger) { l.With(slog.Group("g", "a", 1)).WithGroup("g").Info("same name", "b", 2) })
}

// Handlers that are derived from the same handler do not share the attributes that they add.
func TestHandlersDoNotShare(t *testing.T) {
	alike(t, func(l *slog.Logger) {
		base := l.With("a", 1, "b", 2, "c", 3)
		one, two := base.With("one", 1), base.With("two", 2)
		g := base.WithGroup("g")
		one.Info("1", "x", 1)
		two.Info("2", "y", 2)
		g.With("z", 1).Info("3")
		g.Info("4", "w", 1)
		base.Info("5")
	})
}

func TestPanickingValues(t *testing.T) {
	wire, _ := both(t, func(l *slog.Logger) { l.Info("m", "p", panicky{}, "after", 1) })
	if !strings.Contains(wire, "panic") || !strings.Contains(wire, `"after":1`) {
		t.Error(wire)
	}
	wire, _ = both(t, func(l *slog.Logger) {
		l.With("p", panicky{}).WithGroup("g").Info("m", slog.Group("h", "q", panicky{}, "after", 1))
	})
	if strings.Count(wire, "panic") < 2 || !strings.Contains(wire, `"after":1`) {
		t.Error(wire)
	}
	wire, _ = both(t, func(l *slog.Logger) { l.Info("m", "s", selfish{}, "after", 1) })
	if !strings.Contains(wire, `"after":1`) {
		t.Error(wire)
	}
}

// A value that resolves to a group that contains it again has no end. Such a value used to overflow
// the stack, from which a process cannot recover.
func TestEndlessGroup(t *testing.T) {
	var got int
	h := NewHandler(slog.LevelInfo, func(data []byte) error { got = len(data); return nil })
	slog.New(h).Info("m", "e", endless{})
	if got == 0 || got > 1<<20 {
		t.Errorf("%d bytes", got)
	}
}

// A time that RFC 3339 cannot express must not lose the record.
func TestOddTimes(t *testing.T) {
	for _, at := range []time.Time{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC), {}} {
		var w bytes.Buffer
		parent := slog.New(slog.NewTextHandler(&w, nil))
		h := NewHandler(slog.LevelInfo, func(data []byte) error { Replay(parent, 1, 2, data); return nil })
		if err := h.Handle(context.Background(), slog.NewRecord(at, slog.LevelInfo, "arrived", 0)); err != nil {
			t.Error(err)
		}
		slog.New(h).Info("arrived too", "at", at)
		if !strings.Contains(w.String(), "msg=arrived ") || !strings.Contains(w.String(), "arrived too") {
			t.Errorf("%v: a record is lost: %q", at, w.String())
		}
	}
}

func TestRecordKeepsTimeWorkerAndPid(t *testing.T) {
	var w bytes.Buffer
	parent := slog.New(slog.NewTextHandler(&w, nil))
	h := NewHandler(slog.LevelInfo, func(data []byte) error { Replay(parent, 3, 44, data); return nil })
	r := slog.NewRecord(time.Unix(1700000000, 123000000).UTC(), slog.LevelWarn, "hello", 0)
	if err := h.WithGroup("g").Handle(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	if got, want := w.String(), "time=2023-11-14T22:13:20.123Z level=WARN msg=hello worker=3 pid=44\n"; got != want {
		t.Errorf("%q", got)
	}
}

func TestLevels(t *testing.T) {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError, 2} {
		l := slog.New(slog.NewTextHandler(&bytes.Buffer{}, &slog.HandlerOptions{Level: level}))
		if got := Level(l); got != level {
			t.Errorf("Level of a handler at %v is %v", level, got)
		}

		h := NewHandler(level, func([]byte) error { return nil })
		if h.Enabled(context.Background(), level-1) || !h.Enabled(context.Background(), level) {
			t.Errorf("Enabled at %v", level)
		}
		if g := h.WithGroup("g").WithAttrs([]slog.Attr{slog.Int("a", 1)}); g.Enabled(context.Background(), level-1) {
			t.Errorf("a derived handler forgot its level %v", level)
		}
	}

	// The parent's level may have risen in the meantime.
	var w bytes.Buffer
	parent := slog.New(slog.NewTextHandler(&w, &slog.HandlerOptions{Level: slog.LevelError}))
	slog.New(NewHandler(slog.LevelDebug, func(data []byte) error { Replay(parent, 1, 1, data); return nil })).Info("m")
	if w.Len() > 0 {
		t.Error(w.String())
	}
}

func TestSendErrorComesBack(t *testing.T) {
	bad := errors.New("link is gone")
	h := NewHandler(slog.LevelInfo, func([]byte) error { return bad })
	if err := h.WithGroup("g").Handle(context.Background(), slog.NewRecord(time.Now(), slog.LevelInfo, "m", 0)); !errors.Is(err, bad) {
		t.Error(err)
	}
}

func FuzzReplay(f *testing.F) {
	h := NewHandler(slog.LevelDebug, func(data []byte) error { f.Add(bytes.Clone(data)); return nil })
	l := slog.New(h)
	l.Info("m", "a", 1, "t", time.Unix(1, 2), slog.Group("g", "x", 1.5, "d", time.Second, "u", uint64(1), "e", fmt.Errorf("e")))
	f.Add([]byte(nil))
	out := slog.New(slog.NewJSONHandler(&bytes.Buffer{}, nil))
	f.Add(forged(1 << 20))
	Replay(out, 1, 2, nil) // so that everything that is created only once exists
	f.Fuzz(func(t *testing.T, data []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		Replay(slog.New(slog.DiscardHandler), 1, 2, data)
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 64<<10+uint64(len(data))<<10 {
			t.Errorf("%d bytes allocated for %d", got, len(data))
		}

		var w bytes.Buffer
		Replay(slog.New(slog.NewJSONHandler(&w, nil)), 1, 2, data)
		if w.Len() > 0 && !bytes.Contains(w.Bytes(), []byte(`"worker":1,"pid":2`)) {
			t.Errorf("worker and pid are missing: %s", w.String())
		}

		Replay(out, 1, 2, data)
	})
}
