package logs

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// A recorder is a handler that stores records. It blocks until goOn is closed.
type recorder struct {
	slog.Handler
	mu   sync.Mutex
	said []string
	got  chan struct{} // receives a value before each record is stored
	kept chan struct{} // receives a value after each record is stored
	goOn chan struct{} // closed if the handler must not block
}

func newRecorder() *recorder {
	return &recorder{Handler: slog.DiscardHandler, got: make(chan struct{}, 1<<20), kept: make(chan struct{}, 1<<20), goOn: make(chan struct{})}
}

func (k *recorder) Enabled(context.Context, slog.Level) bool { return true }

func (k *recorder) Handle(_ context.Context, r slog.Record) error {
	k.got <- struct{}{}
	<-k.goOn
	var b strings.Builder
	b.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool { fmt.Fprintf(&b, " %s", a); return true })
	k.mu.Lock()
	defer k.mu.Unlock()
	k.said = append(k.said, b.String())
	k.kept <- struct{}{}
	return nil
}

// count returns how many records begin with the given text.
func (k *recorder) count(begin string) (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.said {
		if strings.HasPrefix(s, begin) {
			n++
		}
	}
	return n
}

// blocked returns a Queue whose handler blocks in its first record.
func blocked(t *testing.T) (*Queue, *recorder, *slog.Logger) {
	k := newRecorder()
	l := slog.New(k)
	j := NewQueue(l)
	j.Info("first")
	<-k.got
	return j, k, l
}

// The records of all sources are passed on in the order in which they were added.
func TestOrder(t *testing.T) {
	j, k, l := blocked(t)
	for i := range 1000 {
		j.Add(i%7, 100, func() { l.Info(fmt.Sprint(i)) })
	}
	close(k.goOn)
	j.Close()
	for i := range 1000 {
		if k.said[i+1] != fmt.Sprint(i) {
			t.Fatalf("%q is number %d", k.said[i+1], i)
		}
	}
}

// A worker that floods the Queue loses its own records, and their number is logged. Other workers
// lose none.
func TestFlood(t *testing.T) {
	const flood, size = 1000, 1 << 20
	j, k, l := blocked(t)
	for range flood {
		data := make([]byte, size)
		j.Add(1, len(data), func() { l.Info(fmt.Sprint("flood ", len(data))) })
	}

	for i := range 100 {
		for worker := 2; worker < 10; worker++ {
			j.Add(worker, 1000, func() { l.Info(fmt.Sprint("calm ", worker, " ", i)) })
		}
	}
	if got := j.queue.bytes; got > maxTotal {
		t.Errorf("%d bytes wait", got)
	}
	close(k.goOn)
	j.Close()
	if n := k.count("calm"); n != 800 {
		t.Errorf("%d of 800 records of the others have arrived", n)
	}

	kept := k.count("flood")
	if kept == 0 || kept > maxBytes/size {
		t.Errorf("%d large records were kept", kept)
	}
	told := fmt.Sprintf("mp: log records of a worker were lost: the handler is too slow records=%d worker=1", flood-kept)
	if k.count(told) != 1 || k.count("mp: log records") != 1 {
		t.Errorf("%q is not what was said: %d, %d", told, k.count(told), k.count("mp: log records"))
	}
}

// However many workers flood the Queue at once, the waiting records stay within their limits.
func TestFloodOfAll(t *testing.T) {
	for _, size := range []int{0, 1000, 1 << 20} {
		j, k, _ := blocked(t)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var all sync.WaitGroup
		for worker := range 500 {
			all.Go(func() {
				for range 1000 {
					j.Add(worker, size, func() {})
				}
			})
		}

		all.Wait()
		runtime.ReadMemStats(&after)
		if j.queue.bytes > maxTotal || len(j.queue.records) > 8*maxRecords {
			t.Errorf("%d records of %d bytes, in all %d, wait", len(j.queue.records), size, j.queue.bytes)
		}
		if size == 1000 && len(j.queue.sources) != 500 {
			t.Errorf("%d of 500 have records in the queue", len(j.queue.sources))
		}

		close(k.goOn)
		j.Close()
	}
}

// After a flood there is room again.
func TestRoomAgain(t *testing.T) {
	j, k, l := blocked(t)
	for round := range 3 {
		for range 3 * maxRecords {
			j.Add(1, 0, func() {})
		}
		j.Add(2, 0, func() { l.Info(fmt.Sprint("round ", round)) })
		if round == 0 {
			close(k.goOn)
		}
		for k.count(fmt.Sprint("round ", round)) == 0 {
			<-k.kept
		}
	}

	j.Close()
	if q := &j.queue; q.bytes != 0 || len(q.sources) != 0 || len(q.records) != 0 {
		t.Errorf("%+v is left", q)
	}
}

// Close does not wait forever for a handler that does not return. Records that are added later are
// dropped.
func TestCloseWhileBlocked(t *testing.T) {
	j, k, _ := blocked(t)
	j.Info("second")
	j.Close()
	j.Info("third")
	close(k.goOn)
	<-j.done
	if k.count("third") != 0 || k.count("second") != 1 {
		t.Errorf("%q", k.said)
	}
}

// A handler that panics or calls runtime.Goexit loses only its own record.
func TestHandlerInTrouble(t *testing.T) {
	j, k, l := blocked(t)
	j.once.Do(func() {}) // the panic need not be reported
	j.Add(1, 0, func() { panic("on purpose") })
	j.Add(1, 0, runtime.Goexit)
	j.Add(1, 0, func() { l.Info("after") })
	close(k.goOn)
	j.Close()
	if k.count("after") != 1 {
		t.Errorf("%q", k.said)
	}
}

// If the handler is slow, Close does not wait until all records of a worker have been passed on.
// The loss is logged.
func TestCloseWhileSlow(t *testing.T) {
	defer func(d time.Duration) { maxWait = d }(maxWait)
	maxWait = 50 * time.Millisecond
	k := newRecorder()
	close(k.goOn)
	l := slog.New(k)
	j := NewQueue(l)
	const n = 5000 // these would take 25 s
	for range n {
		j.Add(1, 0, func() {
			time.Sleep(5 * time.Millisecond)
			l.Info("said")
		})
	}

	begun := time.Now()
	j.Close()
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}

	<-j.done
	said := k.count("said")
	if want := fmt.Sprintf("mp: log records of a worker were lost: the handler is too slow records=%d worker=1", n-said); k.count(want) != 1 {
		t.Errorf("%d of %d were said, and then %q", said, n, k.said[said:])
	}
	if q := &j.queue; q.bytes != 0 || len(q.sources) != 0 || len(q.records) != 0 {
		t.Errorf("%+v is left", q)
	}
}
