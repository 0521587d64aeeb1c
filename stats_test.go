//go:build linux

package mp_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/mptest"
)

type lasting struct {
	For  time.Duration
	Text string
	Wait *ipc.Event
	Die  bool
}

var last = mp.Register("last", func(ctx context.Context, l lasting) (string, error) {
	if l.Wait != nil {
		if err := l.Wait.Wait(ctx); err != nil {
			return "", err
		}
	}
	for begin := time.Now(); time.Since(begin) < l.For; {
	}
	if l.Die {
		killSelf()
	}
	return l.Text, nil
})

// lastPlain is like last, but its argument contains no shared objects.
var lastPlain = mp.Register("lastPlain", func(_ context.Context, d time.Duration) (bool, error) {
	for begin := time.Now(); time.Since(begin) < d; {
	}
	return true, nil
})

// B12: Stats shows what each worker does and has done, which functions ran, and which tasks took
// longest.
func TestInsights(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := t.Context()
	pool := newPool(t, mp.PoolConfig{Workers: 2})
	if err := pool.Ready(ctx); err != nil {
		t.Fatal(err)
	}

	in := make([]lasting, 400)
	in[123] = lasting{For: 150 * time.Millisecond, Text: "the slow one"}
	if _, err := mp.Map(ctx, pool, last, in); err != nil {
		t.Fatal(err)
	}
	if _, err := mp.Call(ctx, pool, lastPlain, 60*time.Millisecond); err != nil {
		t.Fatal(err)
	}

	s := pool.Stats()
	if len(s.PerWorker) != 2 || len(s.Ends) != 0 {
		t.Fatalf("%+v", s)
	}

	done, working := 0, time.Duration(0)
	for i, w := range s.PerWorker {
		if w.Worker != i+1 || w.PID == 0 || w.State != mp.WorkerIdle || w.Func != "" || !w.Begun.IsZero() || w.Before != 0 {
			t.Errorf("%+v", w)
		}
		if w.Starting <= 0 || w.Waiting <= 0 || w.Working < 0 || w.Talking < 0 || w.RSS < 1<<20 || w.Peak < w.RSS {
			t.Errorf("%+v", w)
		}
		if served := time.Since(w.Started) - w.Starting; w.Waiting+w.Working+w.Talking > served {
			t.Errorf("%+v in %v", w, served)
		}
		done += w.Done
		working += w.Working
	}

	if done != 401 || working < 210*time.Millisecond {
		t.Errorf("%d done in %v", done, working)
	}
	at := slices.IndexFunc(s.Functions, func(f mp.FuncStats) bool { return f.Func == last.Name() })
	if at < 0 || s.Functions[at].Done != 400 || s.Functions[at].Chunk < 1 || s.Functions[at].Average <= 0 {
		t.Errorf("%+v", s.Functions)
	}
	if len(s.Slowest) < 2 || s.Slowest[0].Func != last.Name() || s.Slowest[0].Took < 140*time.Millisecond || !strings.Contains(s.Slowest[0].Arg, `"the slow one"`) || s.Slowest[0].Lost {
		t.Errorf("%+v", s.Slowest)
	}
	if x := slices.IndexFunc(s.Slowest, func(x mp.SlowTask) bool { return x.Func == lastPlain.Name() }); x < 0 || s.Slowest[x].Arg != "60ms" {
		t.Errorf("%+v", s.Slowest)
	}
}

type loginName string

func (loginName) String() string { return "someone" }

type loggingIn struct {
	Name loginName
	Took time.Duration
}

var logIn = mp.Register("logIn", func(_ context.Context, l loggingIn) (int, error) {
	time.Sleep(l.Took) // the task must take this long
	return 0, nil
})

// Values that hide themselves are hidden in Stats too. HideArguments hides everything.
func TestSlowestHides(t *testing.T) {
	mptest.NoLeaks(t)
	for _, hide := range []bool{false, true} {
		pool := newPool(t, mp.PoolConfig{Workers: 1, HideArguments: hide})
		until(t, "a slow task is told of", func() bool {
			_, err := mp.Call(t.Context(), pool, logIn, loggingIn{"eve", 30 * time.Millisecond})
			return err != nil || len(pool.Stats().Slowest) > 0
		})

		s := pool.Stats()
		want := "{Name:someone Took:30ms}"
		if hide {
			want = ""
		}
		if len(s.Slowest) == 0 || s.Slowest[0].Arg != want || strings.Contains(s.String(), "eve") {
			t.Errorf("hide %v: %+v", hide, s.Slowest)
		}
	}
}

// Stats shows how long tasks have been running, and how workers have ended.
func TestInsightsOfEnds(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := t.Context()
	pool := newPool(t, mp.PoolConfig{Workers: 1, Recycle: mp.Recycle{Tasks: 3}})
	event := must(ipc.NewEvent())
	defer event.Close()
	if _, err := mp.Map(ctx, pool, lastPlain, []time.Duration{0, 0, 0}); err != nil { // exhausts Recycle.Tasks
		t.Fatal(err)
	}

	task := mp.Submit(ctx, pool, last, lasting{Wait: event})
	until(t, "it runs for a while", func() bool {
		s := pool.Stats()
		return len(s.PerWorker) == 1 && s.PerWorker[0].Func == last.Name() && s.PerWorker[0].State == mp.WorkerBusy &&
			time.Since(s.PerWorker[0].Begun) > 30*time.Millisecond && s.PerWorker[0].Working > 30*time.Millisecond && s.PerWorker[0].Before == 1
	})

	table := pool.Stats().String()
	if err := event.Set(); err != nil {
		t.Fatal(err)
	}
	if _, err := task.Result(ctx); err != nil {
		t.Fatal(err)
	}

	var died *mp.WorkerError
	if _, err := mp.Call(ctx, pool, last, lasting{For: 50 * time.Millisecond, Text: "dies", Die: true}); !errors.As(err, &died) {
		t.Error(err)
	}
	if err := pool.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	s := pool.Stats()
	if len(s.Ends) != 2 || s.Recycled != 1 || s.Died != 1 || s.PerWorker[0].Before != 2 {
		t.Fatalf("%+v", s)
	}
	if e := s.Ends[0]; e.Worker != 1 || e.Done != 3 || e.Why != "recycled: tasks" || e.Served <= 0 || e.PID == s.Ends[1].PID {
		t.Errorf("%+v", e)
	}
	if e := s.Ends[1]; e.Done != 1 || e.Why != "ended with signal 9 (killed)" || time.Since(e.When) < 0 {
		t.Errorf("%+v", e)
	}
	if x := slices.IndexFunc(s.Slowest, func(x mp.SlowTask) bool { return x.Lost }); x < 0 || s.Slowest[x].Took < 40*time.Millisecond {
		t.Errorf("%+v", s.Slowest)
	}
	for _, part := range []string{"1 of 1 workers serve, 1 busy", last.Name() + " #", "MiB", "function", "recycled: tasks"} {
		if !strings.Contains(table, part) {
			t.Errorf("nothing of %q in\n%s", part, table)
		}
	}

	t.Logf("\n%s", s)
}
