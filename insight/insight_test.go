//go:build linux

package insight_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/pprof/profile"
	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/insight"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/mptest"
)

func TestMain(m *testing.M) { mptest.Main(m) }

var (
	// burn takes processor time until its context ends.
	burn = mp.Register("burn", func(ctx context.Context, _ int) (int, error) {
		for ctx.Err() == nil {
			burning()
		}
		return 0, nil
	})
	// nap sleeps for a given time.
	nap = mp.Register("nap", func(_ context.Context, n napping) (int, error) { time.Sleep(n.Took); return 0, nil })
	// hold keeps memory.
	hold = mp.Register("hold", func(context.Context, int) (int, error) {
		for range 8 {
			held = append(held, allocating())
		}
		runtime.GC()
		return 0, nil
	})
	// profiling takes a CPU profile of its own process until its context ends.
	profiling = mp.Register("profiling", func(ctx context.Context, begun *ipc.Event) (int, error) {
		if err := pprof.StartCPUProfile(io.Discard); err != nil {
			return 0, err
		}
		defer pprof.StopCPUProfile()
		err := begun.Set()
		<-ctx.Done()
		return 0, err
	})
)

type napping struct {
	Word string
	Took time.Duration
}

var (
	sink int
	held [][]byte
)

//go:noinline
func burning() {
	for i := range 1_000_000 {
		sink += i
	}
}

//go:noinline
func allocating() []byte { return make([]byte, 1<<20) }

func newPool(t *testing.T, workers int) *mp.Pool {
	t.Helper()
	pool, err := mp.NewPool(mp.PoolConfig{Workers: workers, Grace: 10 * time.Second})
	if err == nil {
		err = pool.Ready(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	return pool
}

// burningAll keeps all workers busy until stop is called.
func burningAll(t *testing.T, pool *mp.Pool, n int) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := mp.MapAsync(ctx, pool, burn, make([]int, n), mp.ChunkSize(1))
	until(t, "all are busy", func() bool {
		for _, w := range pool.Workers() {
			if w.Task == 0 {
				return false
			}
		}
		return true
	})
	return func() { cancel(); <-f.Done() }
}

func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("in vain: ", what)
		}
	}
}

// workersIn returns the workers whose samples contain a function, with their pids.
func workersIn(t *testing.T, data []byte, function string) map[string]string {
	t.Helper()
	p, err := profile.Parse(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}

	found := map[string]string{}
	for _, s := range p.Sample {
		for _, l := range s.Location {
			for _, line := range l.Line {
				if strings.HasSuffix(line.Function.Name, "."+function) && len(s.Label["mp_worker"]) == 1 && len(s.Label["mp_pid"]) == 1 {
					found[s.Label["mp_worker"][0]] = s.Label["mp_pid"][0]
				}
			}
		}
	}

	return found
}

func hasAll(t *testing.T, found map[string]string, pool *mp.Pool) {
	t.Helper()
	for _, w := range pool.Workers() {
		if found[fmt.Sprint(w.Worker)] != fmt.Sprint(w.PID) {
			t.Errorf("worker %d (pid %d) is not in the profile of %v", w.Worker, w.PID, found)
		}
	}
}

// A CPU profile shows what all workers do while it is taken.
func TestCPUProfile(t *testing.T) {
	mptest.NoLeaks(t)
	pool := newPool(t, 2)
	defer burningAll(t, pool, 2)()
	found := map[string]string{}
	until(t, "all are in a profile", func() bool { // once all have got processor time
		var out bytes.Buffer
		if err := insight.CPUProfile(t.Context(), pool, 200*time.Millisecond, &out); err != nil {
			t.Fatal(err)
		}
		found = workersIn(t, out.Bytes(), "burning")
		return len(found) == 2
	})
	hasAll(t, found, pool)
}

// A heap profile shows the memory of all workers.
func TestHeapProfile(t *testing.T) {
	mptest.NoLeaks(t)
	pool := newPool(t, 2)
	for round := 0; ; round++ {
		if _, err := mp.Map(t.Context(), pool, hold, make([]int, 4), mp.ChunkSize(1)); err != nil {
			t.Fatal(err)
		}
		s := pool.Stats()
		if s.PerWorker[0].Done > 0 && s.PerWorker[1].Done > 0 {
			break
		}
	}

	var out bytes.Buffer
	if err := insight.Profile(t.Context(), pool, "heap", &out); err != nil {
		t.Fatal(err)
	}

	hasAll(t, workersIn(t, out.Bytes(), "allocating"), pool)
}

// If a worker cannot be profiled, the error says so, and the profile contains the other workers.
func TestMissing(t *testing.T) {
	mptest.NoLeaks(t)
	pool := newPool(t, 2)
	begun, err := ipc.NewEvent()
	if err != nil {
		t.Fatal(err)
	}

	defer begun.Close()
	ctx, cancel := context.WithCancel(t.Context())
	f := mp.Submit(ctx, pool, profiling, begun)
	if err := begun.Wait(ctx); err != nil {
		t.Fatal(err)
	}

	var out bytes.Buffer
	err = insight.CPUProfile(ctx, pool, time.Millisecond, &out)
	if err == nil || !strings.Contains(err.Error(), "already in use") || strings.Count(err.Error(), "worker ") != 1 || out.Len() == 0 {
		t.Errorf("%v, and %d bytes", err, out.Len())
	}

	out.Reset()
	if err := insight.Profile(ctx, pool, "nonsense", &out); err == nil || out.Len() > 0 {
		t.Errorf("%v, and %d bytes", err, out.Len())
	}
	if err := errors.Join(insight.Profile(ctx, pool, "", &out), insight.CPUProfile(ctx, pool, 0, &out)); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Error(err)
	}
	cancel()
	<-f.Done()
	_ = pool.Close()
	if err := insight.Profile(t.Context(), pool, "heap", &out); err == nil || out.Len() > 0 {
		t.Errorf("of a closed pool: %v, and %d bytes", err, out.Len())
	}
}

// A pool that was just made is profiled as soon as its workers are in service.
func TestProfileOfANewPool(t *testing.T) {
	mptest.NoLeaks(t)
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := insight.CPUProfile(t.Context(), pool, time.Millisecond, &out); err != nil || out.Len() == 0 {
		t.Errorf("%d bytes, %v", out.Len(), err)
	}
	_ = pool.Close()
}

// If a worker ends, its part is missing, which is not an error. A stopped worker delays a caller at
// most until the caller's context ends, and is profiled again after it has continued.
func TestEndingWorkers(t *testing.T) {
	mptest.NoLeaks(t)
	pool := newPool(t, 2)
	pids := pool.Workers()
	stop(t, pids[0].PID)
	done := make(chan error, 1)
	var out bytes.Buffer
	go func() { done <- insight.CPUProfile(t.Context(), pool, 50*time.Millisecond, &out) }()
	select {
	case err := <-done:
		t.Error("it did not wait: ", err)
	case <-time.After(300 * time.Millisecond):
	}

	if err := syscall.Kill(pids[0].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}

	if err := <-done; err != nil {
		t.Error(err)
	}

	p, err := profile.Parse(&out)
	if err != nil || len(p.Comments) != 1 || !strings.Contains(p.Comments[0], fmt.Sprintf("pid %d) ended", pids[0].PID)) {
		t.Errorf("%v, %v", p, err)
	}
	if err := pool.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- insight.CPUProfile(ctx, pool, time.Hour, io.Discard) }()
	until(t, "they measure", func() bool {
		var out bytes.Buffer
		err := insight.Profile(t.Context(), pool, "goroutine", &out)
		return err == nil && len(workersIn(t, out.Bytes(), "profileWriter")) == 2
	})
	err = insight.CPUProfile(t.Context(), pool, time.Millisecond, io.Discard)
	if err == nil || strings.Count(err.Error(), "already in use") != 2 {
		t.Errorf("a second one: %v", err)
	}

	for range 20 {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := insight.CPUProfile(t.Context(), pool, time.Millisecond, io.Discard); err != nil {
			t.Errorf("after one that was ended: %v", err)
		}
		ctx, cancel = context.WithCancel(t.Context())
		go func() { done <- insight.CPUProfile(ctx, pool, math.MaxInt64, io.Discard) }()
	}

	cancel()
	<-done
}

// stop stops a worker, and returns when all of the worker's threads have stopped.
func stop(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WSTOPPED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
}

// A stopped worker gets only a limited number of questions, and answers again when it continues.
func TestStoppedWorker(t *testing.T) {
	mptest.NoLeaks(t)
	pool := newPool(t, 1)
	pid := pool.Workers()[0].PID
	stop(t, pid)
	refused := 0
	for range 100 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		err := insight.Profile(ctx, pool, "heap", io.Discard)
		if err == nil {
			t.Error("it answers")
		} else if strings.Contains(err.Error(), "has not answered") {
			refused++
		}
		cancel()
	}

	if refused < 50 {
		t.Errorf("%d of 100 were refused", refused)
	}

	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	until(t, "it answers", func() bool { return insight.Profile(t.Context(), pool, "heap", io.Discard) == nil })
}

func get(t *testing.T, url string) (status int, header http.Header, body string) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, r.Header, string(b)
}

// The arguments of slow tasks are shown only with ShowArguments.
func TestArgumentsAreHidden(t *testing.T) {
	mptest.NoLeaks(t)
	pool := newPool(t, 1)
	until(t, "a slow task is told of", func() bool {
		_, err := mp.Call(t.Context(), pool, nap, napping{"hunter2", 30 * time.Millisecond})
		return err != nil || len(pool.Stats().Slowest) > 0
	})

	if s := pool.Stats(); len(s.Slowest) == 0 || !strings.Contains(s.Slowest[0].Arg, "hunter2") {
		t.Fatalf("%+v", s.Slowest)
	}

	name := fmt.Sprintf("mp-test-hidden-%d", time.Now().UnixNano())
	insight.Publish(name, pool)
	insight.Publish(name+"-shown", pool, nil, insight.ShowArguments())
	for _, show := range []bool{false, true} {
		var opts []insight.Option
		published := name
		if show {
			opts, published = []insight.Option{nil, insight.ShowArguments()}, name+"-shown"
		}
		pages := map[string]string{"expvar": expvar.Get(published).String()}
		h := insight.Handler(map[string]*mp.Pool{"p": pool}, opts...)
		for _, path := range []string{"/", "/p/stats", "/p/stats?format=json"} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			pages[path] = w.Body.String()
		}

		for where, page := range pages {
			if !strings.Contains(page, "nap") || strings.Contains(page, "hunter2") != show {
				t.Errorf("show %v: %s: %s", show, where, page)
			}
		}
	}
}

func TestHandler(t *testing.T) {
	pool := newPool(t, 2)
	name := `a b/<c>:d`
	pools := map[string]*mp.Pool{name: pool, "other": newPool(t, 1)}
	mux := http.NewServeMux()
	mux.Handle("/debug/mp/", http.StripPrefix("/debug/mp", insight.Handler(pools)))
	server := httptest.NewServer(mux)
	defer http.DefaultClient.CloseIdleConnections()
	defer server.Close()
	delete(pools, name)
	base := server.URL + "/debug/mp/"
	const path = "a%20b%2F%3Cc%3E:d"

	_, _, index := get(t, base)
	if !strings.Contains(index, "a b/&lt;c&gt;:d") || strings.Contains(index, "<c>") || !strings.Contains(index, `href="./`+path+`/heap"`) || !strings.Contains(index, fmt.Sprint(pool.Workers()[1].PID)) {
		t.Error(index)
	}

	if status, _, table := get(t, base+path+"/stats"); status != 200 || !strings.Contains(table, fmt.Sprint(pool.Workers()[0].PID)) {
		t.Error(status, table)
	}

	var s mp.Stats
	if status, h, data := get(t, base+path+"/stats?format=json"); status != 200 || h.Get("Content-Type") != "application/json" || json.Unmarshal([]byte(data), &s) != nil || len(s.PerWorker) != 2 {
		t.Error(status, data)
	}
	stop := burningAll(t, pool, 2)
	until(t, "both are in it", func() bool {
		status, _, data := get(t, base+path+"/profile?seconds=0.2")
		return status == 200 && len(workersIn(t, []byte(data), "burning")) == 2
	})
	stop()
	for _, what := range []string{"heap", "allocs", "goroutine", "block", "mutex", "threadcreate"} {
		status, h, data := get(t, base+"other/"+what)
		if _, err := profile.ParseData([]byte(data)); status != 200 || err != nil || h.Get("Mp-Missing") != "" {
			t.Error(what, status, err)
		}
	}

	for url, want := range map[string]int{
		"nobody/stats": 404, "nobody/profile": 404, "nobody/heap": 404, "other/nonsense": 404, "other": 404, "other/heap/more": 404,
		"other/profile?seconds=0": 400, "other/profile?seconds=-1": 400, "other/profile?seconds=x": 400, "other/profile?seconds=NaN": 400, "other/profile?seconds=1e9": 400, "other/profile?seconds=1e-10": 400,
		"other/stats?format=xml": 400,
	} {
		if status, _, text := get(t, base+url); status != want || strings.Count(text, "\n") != 1 {
			t.Errorf("%s: %d, %q", url, status, text)
		}
	}

	server.Config.WriteTimeout = time.Second
	if status, _, text := get(t, base+"other/profile?seconds=2"); status != 400 || !strings.Contains(text, "WriteTimeout") {
		t.Error(status, text)
	}
	server.Config.WriteTimeout = 0
	_ = pools["other"].Close()
	if status, _, text := get(t, base+"other/heap"); status != 503 || !strings.Contains(text, "no workers") {
		t.Error(status, text)
	}
}

// Handler panics if a name cannot be part of a path.
func TestHandlerNames(t *testing.T) {
	for _, name := range []string{"", ".", ".."} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q is served", name)
				}
			}()
			insight.Handler(map[string]*mp.Pool{name: nil})
		}()
	}
}

// A published pool is in expvar.
func TestPublish(t *testing.T) {
	pool := newPool(t, 1)
	name := fmt.Sprint("TestPublish ", pool.Workers()[0].PID) // unique, since a variable cannot be removed
	insight.Publish(name, pool)
	var s mp.Stats
	if err := json.Unmarshal([]byte(expvar.Get(name).String()), &s); err != nil || len(s.PerWorker) != 1 || s.PerWorker[0].PID != pool.Workers()[0].PID {
		t.Errorf("%+v, %v", s, err)
	}
}

// With MPDEBUG=inline, there is one worker to profile: this process.
func TestInline(t *testing.T) {
	t.Setenv("MPDEBUG", "inline")
	pool := newPool(t, 3)
	var out bytes.Buffer
	if err := insight.Profile(t.Context(), pool, "goroutine", &out); err != nil {
		t.Fatal(err)
	}
	if found := workersIn(t, out.Bytes(), "TestInline"); len(found) != 1 || found["1"] != fmt.Sprint(os.Getpid()) {
		t.Error(found)
	}
}
