// Package logs sends slog records from a worker to its parent, and from there to the user's
// handler.
package logs

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-multiprocessing/mp/internal/codec"
)

type wireRecord struct {
	Time  []byte `cbor:"1,keyasint,omitempty"` // by codec.AppendTime, which preserves the zone
	Level int    `cbor:"2,keyasint"`
	Msg   string `cbor:"3,keyasint"`
	Attrs []attr `cbor:"4,keyasint,omitempty"`
}

// An attr is the encoded form of a slog.Attr. Values of kinds for which attr has no field are sent
// as text.
type attr struct {
	Key   string    `cbor:"1,keyasint"`
	Kind  slog.Kind `cbor:"2,keyasint"`
	Text  string    `cbor:"3,keyasint,omitempty"`
	Int   int64     `cbor:"4,keyasint,omitempty"`
	Float float64   `cbor:"5,keyasint,omitempty"`
	Time  []byte    `cbor:"6,keyasint,omitempty"`
	Group []attr    `cbor:"7,keyasint,omitempty"`
}

// A Handler encodes records and passes them to send. It is safe for concurrent use.
type Handler struct {
	send  func([]byte) error
	level slog.Level
	with  func([]slog.Attr) []slog.Attr // wraps attributes in the groups and attributes given before
}

// NewHandler returns a Handler for records at the given level and above.
func NewHandler(level slog.Level, send func([]byte) error) *Handler {
	return &Handler{send: send, level: level, with: func(a []slog.Attr) []slog.Attr { return a }}
}

// Enabled implements slog.Handler.
func (h *Handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.with = func(a []slog.Attr) []slog.Attr { return h.with(append(attrs[:len(attrs):len(attrs)], a...)) }
	return &c
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.with = func(a []slog.Attr) []slog.Attr {
		return h.with([]slog.Attr{{Key: name, Value: slog.GroupValue(a...)}})
	}
	return &c
}

// Handle implements slog.Handler.
func (h *Handler) Handle(_ context.Context, r slog.Record) error {
	attrs := make([]slog.Attr, 0, r.NumAttrs())
	r.Attrs(func(a slog.Attr) bool { attrs = append(attrs, a); return true })
	left := newTextBudget()
	out := wireRecord{Time: packTime(r.Time), Level: int(r.Level), Msg: left.text(r.Message)}
	out.Attrs = left.pack(h.with(attrs), 0)
	data, err := codec.AppendAny(nil, out)
	if err != nil {
		return err
	}
	return h.send(data)
}

func packTime(t time.Time) []byte {
	if t.IsZero() {
		return nil
	}
	b, err := codec.AppendTime(nil, t)
	if err != nil { // the zone's offset is out of range
		b, _ = codec.AppendTime(nil, t.UTC())
	}
	return b
}

func unpackTime(b []byte) time.Time {
	if len(b) == 0 {
		return time.Time{}
	}
	t, err := codec.DecodeTime(b)
	if err != nil {
		return time.Time{}
	}
	return t
}

func (left *textBudget) pack(attrs []slog.Attr, depth int) (out []attr) {
	for i, a := range attrs {
		if left.attrs--; left.attrs < 0 {
			return append(out, attr{Key: "…", Kind: slog.KindString, Text: fmt.Sprintf("%d attributes more", len(attrs)-i)})
		}

		v := a.Value.Resolve()
		if a.Key == "" && v.Kind() == slog.KindAny && v.Any() == nil {
			continue // as every handler does
		}
		if depth == maxDepth && v.Kind() == slog.KindGroup {
			v = slog.StringValue("nested too deep")
		}
		out = append(out, left.packOne(left.text(a.Key), v, depth))
	}
	return out
}

func (left *textBudget) packOne(key string, v slog.Value, depth int) attr {
	p := attr{Key: key, Kind: v.Kind()}
	switch v.Kind() {
	case slog.KindBool:
		if v.Bool() {
			p.Int = 1
		}
	case slog.KindInt64:
		p.Int = v.Int64()
	case slog.KindUint64:
		p.Int = int64(v.Uint64())
	case slog.KindDuration:
		p.Int = int64(v.Duration())
	case slog.KindFloat64:
		p.Float = v.Float64()
	case slog.KindTime:
		p.Time = packTime(v.Time())
	case slog.KindGroup:
		p.Group = left.pack(v.Group(), depth+1)
	default:
		p.Kind, p.Text = slog.KindString, left.text(text(v))
	}

	return p
}

func text(v slog.Value) (s string) {
	defer func() {
		if r := recover(); r != nil {
			s = fmt.Sprintf("panic in a log value: %v", r)
		}
	}()
	return v.String()
}

func unpack(attrs []attr) (out []slog.Attr) {
	for _, p := range attrs {
		a := slog.Attr{Key: p.Key}
		switch p.Kind {
		case slog.KindBool:
			a.Value = slog.BoolValue(p.Int != 0)
		case slog.KindInt64:
			a.Value = slog.Int64Value(p.Int)
		case slog.KindUint64:
			a.Value = slog.Uint64Value(uint64(p.Int))
		case slog.KindDuration:
			a.Value = slog.DurationValue(time.Duration(p.Int))
		case slog.KindFloat64:
			a.Value = slog.Float64Value(p.Float)
		case slog.KindTime:
			a.Value = slog.TimeValue(unpackTime(p.Time))
		case slog.KindGroup:
			a.Value = slog.GroupValue(unpack(p.Group)...)
		default:
			a.Value = slog.StringValue(p.Text)
		}

		out = append(out, a)
	}
	return out
}

// Replay passes a worker's record to l's handler, with the worker's number and pid. If data is not
// a record that a Handler encoded, Replay instead passes a warning that a record cannot be read.
func Replay(l *slog.Logger, worker, pid int, data []byte) {
	var in wireRecord
	if err := codec.DecodeWithin(data, &in, bounds); err != nil {
		in = wireRecord{Time: packTime(time.Now()), Level: int(slog.LevelWarn), Msg: "mp: a log record of a worker cannot be read", Attrs: []attr{{Key: "why", Text: err.Error()}}}
	}
	if !l.Enabled(context.Background(), slog.Level(in.Level)) {
		return
	}

	r := slog.NewRecord(unpackTime(in.Time), slog.Level(in.Level), in.Msg, 0)
	r.AddAttrs(unpack(in.Attrs)...)
	r.AddAttrs(slog.Int("worker", worker), slog.Int("pid", pid))
	_ = l.Handler().Handle(context.Background(), r)
}

// Level returns the lowest level that l handles.
func Level(l *slog.Logger) slog.Level {
	for level := slog.LevelDebug - 16; level < slog.LevelError; level++ {
		if l.Enabled(context.Background(), level) {
			return level
		}
	}
	return slog.LevelError
}
