//go:build linux

package link

import (
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
)

// newMemory is a segment of ordinary memory, aligned as a mapping is.
func newMemory() memory { return make(memory, Size) }

// starts are the numbers at which a run of tasks may begin: every place in a
// word, the end of the marks, and the end of the numbers.
func starts() (s []uint32) {
	for i := range uint32(17) {
		s = append(s, i, slots-i, 3*slots-i, math.MaxUint32-i)
	}
	return append(s, 1<<31-3, math.MaxUint32-100)
}

func TestSpan(t *testing.T) {
	for n := uint32(1); n <= 16; n++ {
		for low := uint32(0); low+n <= 16; low++ {
			var want uint32
			for k := low; k < low+n; k++ {
				want |= 3 << (2 * k)
			}
			if got := span((low+n-1)*2, n); got != want {
				t.Errorf("%d tasks from %d: %032b, not %032b", n, low, got, want)
			}
		}
	}
}

func TestVoidStopsAtTheBegun(t *testing.T) {
	m := newMemory()
	for _, lo := range starts() {
		for n := range uint32(40) {
			for b := range n + 1 { // tasks lo..lo+b-1 have begun
				m.clear(lo, n)
				for k := range b {
					if !m.begin(lo + k) {
						t.Fatalf("task %d of %d from %d cannot begin", k, n, lo)
					}
				}
				if got := m.void(lo, lo+n); got != lo+b {
					t.Fatalf("from %d, %d tasks, %d begun: got back from %d on", lo, n, b, got-lo)
				}
				for k := range n {
					if m.begun(lo+k) != (k < b) {
						t.Fatalf("from %d, %d tasks: task %d", lo, n, k)
					}
					if k >= b && m.begin(lo+k) {
						t.Fatalf("from %d, %d tasks: task %d began after it was taken back", lo, n, k)
					}
				}
			}
		}
	}
}

// Void takes nothing outside lo..hi, and clear clears nothing outside its run.
func TestNeighboursAreLeftAlone(t *testing.T) {
	m := newMemory()
	r := rand.New(rand.NewPCG(1, 2))
	for _, base := range starts() {
		for range 50 {
			n := uint32(r.IntN(60) + 1)
			before, after := base-20, base+n
			m.clear(before, n+40)
			m.void(base, base+n)
			for k := range uint32(20) {
				if !m.begin(before+k) || !m.begin(after+k) {
					t.Fatalf("voiding %d tasks from %d took a neighbour", n, base)
				}
			}
			m.clear(base, n)
			for k := range uint32(20) {
				if !m.begun(before+k) || !m.begun(after+k) {
					t.Fatalf("clearing %d tasks from %d cleared a neighbour", n, base)
				}
			}
			for k := range n {
				if m.begun(base+k) || !m.begin(base+k) {
					t.Fatalf("task %d of %d from %d was not cleared", k, n, base)
				}
			}
		}
	}
}

func TestClearAll(t *testing.T) {
	for _, base := range starts() {
		m := newMemory()
		m.void(base, base+slots)
		m.clear(base, slots)
		for k := range uint32(slots) {
			if !m.begin(base + k) {
				t.Fatalf("task %d from %d", k, base)
			}
		}
		if got := m.void(base, base+slots); got != base+slots {
			t.Fatalf("from %d: took back begun tasks", base)
		}
	}
}

// One goroutine begins tasks in order, the other takes them back from the end:
// each is exactly once begun or taken back, and what a third sees as begun
// is never taken back.
func TestBeginAndVoidRace(t *testing.T) {
	m := newMemory()
	for round, lo := range append(starts(), starts()...) {
		const n = 200
		m.clear(lo, n)
		var begun, seen [n]bool
		got := lo + n
		var wg sync.WaitGroup
		start := make(chan struct{})
		wg.Go(func() {
			<-start
			for k := range uint32(n) {
				begun[k] = m.begin(lo + k)
			}
		})
		wg.Go(func() {
			<-start
			for k := range uint32(n) {
				seen[k] = m.begun(lo + k)
			}
		})
		wg.Go(func() {
			<-start
			// In pieces, as chunks are, and of changing size.
			for hi := lo + n; hi != lo; {
				piece := min(uint32(round%37)+1, hi-lo)
				k := m.void(hi-piece, hi)
				got = k
				if hi -= piece; k != hi {
					break
				}
			}
		})
		close(start)
		wg.Wait()
		for k := range uint32(n) {
			back := k >= got-lo
			if begun[k] == back {
				t.Fatalf("from %d: task %d begun %v, taken back %v", lo, k, begun[k], back)
			}
			if seen[k] && back && begun[k] {
				t.Fatalf("from %d: task %d was seen begun and taken back", lo, k)
			}
		}
	}
}

// Once something has been written over the segment, no task counts as not begun
// and no result is believed, even if all looks right.
func TestOverwrittenSegment(t *testing.T) {
	for name, write := range map[string]func(memory){
		"zeros": func(m memory) { clear(m) },
		"ones": func(m memory) {
			for i := range m {
				m[i] = 0xff
			}
		},
		"the words":     func(m memory) { clear(m[:offMarks]) },
		"up to a mark":  func(m memory) { clear(m[offMarks-8 : offMarks+4]) },
		"from a mark":   func(m memory) { clear(m[offMarks+slots/4-4:][:100]) },
		"a ring's edge": func(m memory) { clear(m[offTaskRing-8:][:100]) },
	} {
		l := newLink(t)
		seq := l.Stage(Chunk{Count: 3})
		if l.Begun(seq) || l.Void(seq+2, seq+3) != seq+2 || l.Check() != nil {
			t.Fatal("it is not as it must be before")
		}
		write(l.mem)
		l.mem.word64(offResTail).Store(8)
		if got, err := collect(t, l); !errors.Is(err, errGarbage) || len(got) != 0 {
			t.Errorf("%s: %d results, %v", name, len(got), err)
		}
		l.mem.clear(seq, 3)
		if !l.Begun(seq) || l.Void(seq, seq+2) != seq+2 || !errors.Is(l.Check(), errGarbage) {
			t.Errorf("%s: its marks are believed", name)
		}
	}
}

// A worker that scribbles over its marks gets its tasks wrong, but the parent
// stays within lo..hi.
func TestHostileMarks(t *testing.T) {
	m := newMemory()
	r := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		lo := r.Uint32()
		n := uint32(r.IntN(slots))
		for range 10 {
			*m.mark(r.Uint32N(slots)) = r.Uint32()
		}
		if got := m.void(lo, lo+n); got-lo > n {
			t.Fatalf("void(%d, %d) = %d", lo, lo+n, got)
		}
	}
}
