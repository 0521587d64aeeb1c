package mp

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Progress is the progress of a [Map] or a [Stream].
type Progress struct {
	// Done is the number of elements that have succeeded or failed.
	Done int

	// Failed is the number of elements that have failed.
	Failed int

	// Total is the number of elements. It is -1 while a Stream has not read the end of its input.
	Total int

	// Elapsed is the time since the Map or Stream started.
	Elapsed time.Duration

	// Over says that the Map or Stream has ended, with or without an error. It is set in
	// the last call of OnProgress's function.
	Over bool
}

// OnProgress calls f with the progress of a [Map] or [Stream]: when it starts, about ten times a
// second while the numbers change, and when it ends, before the Map returns or the Stream's loop
// ends. Package progress uses it to show progress bars.
//
// If a Map or Stream ends early, its cancelled elements are not counted, whether they had started
// or not, also with [AllErrors]. At the end, Done is then less than Total.
//
// Calls of f do not overlap. If f is slow, it misses updates; only the end of the Map or Stream
// waits for it. The cost to the tasks is negligible. If the option is given several times, each f
// is called. A nil f is ignored.
func OnProgress(f func(Progress)) MapOption {
	return mapOption(func(o *mapOptions) {
		if f != nil {
			o.tell = append(o.tell, f)
		}
	})
}

// updates is the minimum interval between calls of the functions given to OnProgress.
const updates = 100 * time.Millisecond

// A meter counts the outcomes of the elements of a Map or Stream. It is nil if there is no
// OnProgress option.
type meter struct {
	tell  []func(Progress)
	began time.Time
	done  atomic.Int64
	fails atomic.Int64
	total atomic.Int64

	stop chan struct{}
	all  sync.WaitGroup
}

// unknown is the total of a stream that has not read the end of its input.
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

// run reports progress until end is called.
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
	// add counts a failure after it has counted the element as done. Reading in the opposite order
	// keeps Failed from exceeding Done.
	fails := m.fails.Load()
	return Progress{Failed: int(fails), Done: int(m.done.Load()), Total: int(m.total.Load()), Elapsed: time.Since(m.began)}
}

func (m *meter) say(p Progress) {
	for _, f := range m.tell {
		f(p)
	}
}

// isCancelled reports whether an element has failed because ctx, the context of its Map or Stream,
// has ended.
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

// end reports the final progress.
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

// setTotal sets the total of a stream that has read the end of its input.
func (m *meter) setTotal(n int) {
	if m != nil {
		m.total.Store(int64(n))
	}
}
