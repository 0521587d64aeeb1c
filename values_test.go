//go:build linux

package mp_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/mptest"
)

type (
	dated struct {
		At   time.Time
		When map[string]*time.Time
		Any  any
	}
	board map[square2]map[[2]string]time.Time

	square2 struct{ X, Y int }
)

var (
	nextWeek = mp.Register("nextWeek", func(_ context.Context, t time.Time) (time.Time, error) { return t.AddDate(0, 0, 7), nil })
	redate   = mp.Register("redate", func(_ context.Context, d dated) (dated, error) {
		for k, at := range d.When {
			later := at.AddDate(0, 0, 7)
			d.When[k] = &later
		}
		return dated{d.At.AddDate(0, 0, 7), d.When, d.Any.(time.Time).AddDate(0, 0, 7)}, nil
	})
	turn = mp.Register("turn", func(_ context.Context, b board) (board, error) {
		out := board{}
		for at, v := range b {
			out[square2{at.Y, at.X}] = v
		}
		return out, nil
	})
)

// A worker uses the time zone of its caller, across a change to winter time.
func TestZonesTravel(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := t.Context()
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	queue := must(ipc.NewQueue[dated]())
	defer queue.Discard()

	for _, name := range []string{"America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "UTC", "Local"} {
		at := time.Date(2024, 10, 30, 9, 0, 0, 0, must(time.LoadLocation(name)))
		want := at.AddDate(0, 0, 7).String()
		if got, err := mp.Call(ctx, pool, nextWeek, at); err != nil || got.String() != want || got.Location().String() != name {
			t.Errorf("%s: %v instead of %v, %v", name, got, want, err)
		}

		sent := dated{at, map[string]*time.Time{"a": &at}, at}
		got, err := mp.Call(ctx, pool, redate, sent)
		if err != nil || got.At.String() != want || got.When["a"].String() != want || fmt.Sprint(got.Any) != want {
			t.Errorf("%s: %+v instead of %v, %v", name, got, want, err)
		}
		if err := queue.Put(ctx, sent); err != nil {
			t.Fatal(err)
		}
		if got, err := queue.Get(ctx); err != nil || got.At.Location().String() != name || fmt.Sprint(got.Any) != at.String() {
			t.Errorf("%s: through a queue: %+v, %v", name, got, err)
		}
	}
}

func TestCompoundKeysTravel(t *testing.T) {
	mptest.NoLeaks(t)
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	at := time.Date(2024, 7, 1, 0, 0, 0, 0, time.UTC)
	got, err := mp.Call(t.Context(), pool, turn, board{{1, 2}: {{"a", "b"}: at}, {3, 4}: nil})
	if err != nil || len(got) != 2 || got[square2{2, 1}][[2]string{"a", "b"}] != at {
		t.Errorf("%v, %v", got, err)
	}
}

// exploding has a marshaller that panics with a text of many lines.
type exploding struct{ Where string }

func (e exploding) MarshalText() ([]byte, error) {
	if e.Where == "here" {
		panic("many\nlines\r\n of text")
	}
	return []byte(e.Where), nil
}

func (e *exploding) UnmarshalText(b []byte) error {
	e.Where = string(b)
	return nil
}

var explode = mp.Register("explode", func(_ context.Context, where string) (exploding, error) { return exploding{where}, nil })
var exploded = mp.Register("exploded", func(context.Context, exploding) (int, error) { return 0, nil })

// A panic in a marshaller becomes one line of text, with the stack in a field of its own.
func TestCodecErrorIsOneLine(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := t.Context()
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	_, result := mp.Call(ctx, pool, explode, "here")
	_, argument := mp.Call(ctx, pool, exploded, exploding{"here"})
	queue := must(ipc.NewQueue[exploding]())
	defer queue.Discard()
	for what, err := range map[string]error{"result": result, "argument": argument, "element": queue.Put(ctx, exploding{"here"})} {
		var codec *mp.CodecError
		if !errors.As(err, &codec) || codec.What != what || strings.ContainsAny(err.Error(), "\r\n") || !strings.Contains(err.Error(), "many lines of text") || !strings.Contains(codec.Stack, "MarshalText") {
			t.Errorf("%s: %q\n%+v", what, err, codec)
		}
	}
}

// Using a nil or zero Executor, Pool, Inline, Process or Func returns an error.
func TestNil(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := t.Context()
	var pool *mp.Pool
	var inline *mp.Inline
	made := must(mp.NewInline(mp.InlineConfig{}))
	defer made.Close()
	wrong := func(what string, err error) {
		t.Helper()
		if err == nil || !strings.HasPrefix(err.Error(), "mp: ") {
			t.Errorf("%s: %v", what, err)
		}
	}

	for name, ex := range map[string]mp.Executor{"nil": nil, "a nil Pool": pool, "a zero Pool": &mp.Pool{}, "a nil Inline": inline, "a zero Inline": &mp.Inline{}, "no function": made} {
		f := nextWeek
		if name == "no function" {
			f = nil
		}
		_, err := mp.Call(ctx, ex, f, time.Time{})
		wrong(name+": Call", err)
		wrong(name+": Submit", outcomeOf(mp.Submit(ctx, ex, f, time.Time{})))
		_, err = mp.Map(ctx, ex, f, make([]time.Time, 3), mp.OnProgress(func(mp.Progress) {}))
		wrong(name+": Map", err)
		wrong(name+": MapAsync", outcomeOf(mp.MapAsync(ctx, ex, f, make([]time.Time, 3))))
		var last error
		for _, err := range mp.Stream(ctx, ex, f, slices.Values(make([]time.Time, 2))) {
			last = err
		}
		wrong(name+": Stream", last)

		for _, err := range mp.StreamUnordered(ctx, ex, f, slices.Values(make([]time.Time, 2))) {
			last = err
		}
		wrong(name+": StreamUnordered", last)
	}

	for name, p := range map[string]*mp.Pool{"nil": nil, "zero": {}} {
		wrong(name+" Close", p.Close())
		wrong(name+" Shutdown", p.Shutdown(ctx))
		wrong(name+" Resize", p.Resize(1))
		wrong(name+" Ready", p.Ready(ctx))
		if p.Workers() != nil || p.Stats().Workers != 0 {
			t.Errorf("%s has workers", name)
		}
	}

	wrong("Inline.Close", inline.Close())
	wrong("Inline.Shutdown", inline.Shutdown(ctx))
	var process *mp.Process[int]
	wrong("Process.Start", process.Start())
	wrong("Process.Kill", process.Kill())
	wrong("Process.Close", process.Close())
	_, err := process.Wait(ctx)
	wrong("Process.Wait", err)
	_, err = mp.NewProcess[int, int](nil, 1, mp.ProcessConfig{})
	wrong("NewProcess", err)
	var f *mp.Func[int, int]
	if name := f.With(1).Name(); name != "" {
		t.Errorf("a nil Func is called %q", name)
	}

	_, err = mp.NewPool(mp.PoolConfig{Workers: 1, Setup: f.With(1)})
	wrong("Setup of a nil Func", err)
	_, err = ipc.NewConn[int](nil)
	wrong("NewConn", err)
	var future *mp.Future[int]
	for name, a := range map[string]mp.Awaitable{"nil": nil, "a nil Future": future} {
		_, _, err = mp.Wait(ctx, mp.AllDone, a)
		wrong("Wait for "+name, err)
		for _, err = range mp.AsCompleted(ctx, a) {
			wrong("AsCompleted of "+name, err)
		}
	}

	for name, s := range map[string]ipc.Selectable{"nil": nil, "a nil Future": ipc.Done(future)} {
		_, err = ipc.Select(ctx, s)
		wrong("Select of "+name, err)
	}
}

func outcomeOf[T any](f *mp.Future[T]) error {
	<-f.Done()
	return f.Err()
}

// A nil option changes nothing.
func TestNilOptions(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := t.Context()
	ex := must(mp.NewInline(mp.InlineConfig{}))
	defer ex.Close()
	var none mp.CallOption
	if _, err := mp.Call(ctx, ex, nextWeek, time.Time{}, nil, none); err != nil {
		t.Error(err)
	}
	if err := outcomeOf(mp.Submit(ctx, ex, nextWeek, time.Time{}, nil, none)); err != nil {
		t.Error(err)
	}
	if _, err := mp.Map(ctx, ex, nextWeek, make([]time.Time, 2), nil, none, mp.OnProgress(nil)); err != nil {
		t.Error(err)
	}

	for _, err := range mp.Stream(ctx, ex, nextWeek, slices.Values(make([]time.Time, 1)), nil, none, mp.OnProgress(nil)) {
		if err != nil {
			t.Error(err)
		}
	}
}
