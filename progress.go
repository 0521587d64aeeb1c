package mp

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Progress is how far a [Map] or a [Stream] has come.
type Progress struct {
	Done    int           // elements that have an outcome
	Failed  int           // of these, errors
	Total   int           // elements; -1 while a Stream has not read the end of its input
	Elapsed time.Duration // since it began
	Over    bool          // this is the last one: it has ended, however that was
}

// OnProgress has f told of a [Map] or [Stream]: when it begins, then about ten times a second while
// something changes, and at last, before the Map returns or the Stream's loop ends. What a Map or
// a Stream that ends early has cancelled is not counted, whether it had begun or not, and with
// [AllErrors] too: of such elements Done is less than Total at the end. One goroutine at a time calls f; a slow one
// misses updates and holds up nothing but the end. It costs the tasks nothing to speak of. Given
// several times, each f is told; a nil f is told nothing. Package progress shows bars by it.
func OnProgress(f func(Progress)) MapOption {
	return mapOption(func(o *mapOptions) {
		if f != nil {
			o.tell = append(o.tell, f)
		}
	})
}

// updates is how often somebody is told at most.
const updates = 100 * time.Millisecond

// meter counts what becomes of the elements of a Map or Stream, if somebody wants to be told; else
// it is nil.
type meter struct {
	tell  []func(Progress)
	began time.Time
	done  atomic.Int64
	fails atomic.Int64
	total atomic.Int64

	stop chan struct{}
	all  sync.WaitGroup
}

// unknown is the total of a stream of which the end has not been read.
const unknown = -1

func startMeter(tell []func(Progress), total int) *meter {
	if len(tell) == 0 {
		return nil
	}
	m := &meter{tell: tell, began: time.Now(), stop: make(chan struct{})}
	m.total.Store(int64(total))
	m.all.Go(m.run)
	return m
}

// run tells what changes until the end.
func (m *meter) run() {
	t := time.NewTicker(updates)
	defer t.Stop()
	last := m.now()
	m.say(last)
	for {
		select {
		case <-t.C:
			p := m.now()
			if p.Done != last.Done || p.Total != last.Total {
				m.say(p)
			}
			last = p
		case <-m.stop:
			return
		}
	}
}

func (m *meter) now() Progress {
	// What failed is counted after it is done.
	fails := m.fails.Load()
	return Progress{Failed: int(fails), Done: int(m.done.Load()), Total: int(m.total.Load()), Elapsed: time.Since(m.began)}
}

func (m *meter) say(p Progress) {
	for _, f := range m.tell {
		f(p)
	}
}

// isCancelled reports whether an element has failed because the context of its Map or Stream has
// ended, whatever else has become of it.
func isCancelled(ctx context.Context, err error) bool {
	ended := ctx.Err()
	return ended != nil && (errors.Is(err, ended) || errors.Is(err, context.Cause(ctx)))
}

// add counts elements that have succeeded, or one that has failed.
func (m *meter) add(n int, err error) {
	if m == nil {
		return
	}
	m.done.Add(int64(n))
	if err != nil {
		m.fails.Add(1)
	}
}

// end tells the last.
func (m *meter) end() {
	if m == nil {
		return
	}
	close(m.stop)
	m.all.Wait()
	p := m.now()
	p.Over = true
	m.say(p)
}

// setTotal is called when the end of the input has been read.
func (m *meter) setTotal(n int) {
	if m != nil {
		m.total.Store(int64(n))
	}
}
