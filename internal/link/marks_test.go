//go:build linux

package link

import (
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
)

// newMemory returns a segment of ordinary memory. It is aligned as a mapping is.
func newMemory() memory { return make(memory, Size) }

// starts returns numbers at which a sequence of tasks may start: at every place in a word, around
// the end of the marks, and around the wrap of the numbers.
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

// begins tries to start a task and reports whether that succeeded. The marks must be intact.
func begins(t *testing.T, m memory, seq uint32) bool {
	t.Helper()
	mine, ok := m.begin(seq)
	if !ok {
		t.Fatalf("the marks of task %d do not hold", seq)
	}
	return mine
}

// prepareAt is like prepare, but lo need not be the first task of its word.
func (m memory) prepareAt(lo, n uint32) { m.prepare(lo&^(perWord-1), n+perWord) }

// startAt makes seq the number of the first task.
func (l *Link) startAt(seq uint32) {
	l.seq = seq
	l.mem.prepareAt(seq, 1)
}

func TestVoidStopsAtTheBegun(t *testing.T) {
	m := newMemory()
	for _, lo := range starts() {
		for n := range uint32(40) {
			for b := range n + 1 { // tasks lo..lo+b-1 have started
				m.prepareAt(lo, n)
				for k := range b {
					if !begins(t, m, lo+k) {
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
					if k >= b && begins(t, m, lo+k) {
						t.Fatalf("from %d, %d tasks: task %d began after it was taken back", lo, n, k)
					}
				}
			}
		}
	}
}

// Void must take back only tasks between lo and hi.
func TestNeighboursAreLeftAlone(t *testing.T) {
	m := newMemory()
	r := rand.New(rand.NewPCG(1, 2))
	for _, base := range starts() {
		for range 50 {
			n := uint32(r.IntN(60) + 1)
			before, after := base-20, base+n
			m.prepareAt(before, n+40)
			m.void(base, base+n)
			for k := range uint32(20) {
				if !begins(t, m, before+k) || !begins(t, m, after+k) {
					t.Fatalf("voiding %d tasks from %d took a neighbour", n, base)
				}
			}

			for k := range n {
				if m.begun(base+k) || begins(t, m, base+k) {
					t.Fatalf("task %d of %d from %d was not taken back", k, n, base)
				}
			}
		}
	}
}

// In each lap around the marks, with as many tasks in transit as possible, a word must be ready
// when its first slot is used. Preparing the word must not harm a task that the worker has not
// passed.
func TestPrepareLapAfterLap(t *testing.T) {
	m := newMemory()
	const start = math.MaxUint32 - 3*slots + 1 // the first slot of a word
	r := rand.New(rand.NewPCG(5, 6))
	begun, sent := uint32(start), uint32(start)
	for sent-start < 6*slots {
		n := min(r.Uint32N(100)+1, MaxTasks-(sent-begun))
		m.prepare(sent, n)
		sent += n
		if begun != start && !m.begun(begun-1) {
			t.Fatalf("task %d has not begun any more", begun-1)
		}
		if sent-begun < MaxTasks {
			continue
		}

		for range r.Uint32N(200) {
			if !begins(t, m, begun) {
				t.Fatalf("task %d cannot begin", begun)
			}
			begun++
		}
	}

	for ; begun != sent; begun++ {
		if m.begun(begun) || !begins(t, m, begun) {
			t.Fatalf("task %d cannot begin", begun)
		}
	}
}

// One goroutine starts tasks in order, and another takes them back from the end. Each task must be
// either started or taken back. A task that a third goroutine sees as started must never be taken
// back.
func TestBeginAndVoidRace(t *testing.T) {
	m := newMemory()
	for round, lo := range append(starts(), starts()...) {
		const n = 200
		m.prepareAt(lo, n)
		var begun, seen [n]bool
		got := lo + n
		var wg sync.WaitGroup
		start := make(chan struct{})
		wg.Go(func() {
			<-start
			for k := range uint32(n) {
				begun[k], _ = m.begin(lo + k)
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

			// In pieces of different sizes, as chunks are.
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

// Once the segment has been overwritten, all tasks must count as started, and no result must be
// trusted, even if it looks right.
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
		"from a mark":   func(m memory) { clear(m[offMarks+marksSize-4:][:100]) },
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

		l.mem.prepare(seq, 3)
		if !l.Begun(seq) || l.Void(seq, seq+2) != seq+2 || !errors.Is(l.Check(), errGarbage) {
			t.Errorf("%s: its marks are believed", name)
		}
	}
}

// Whatever marks are overwritten with, their tasks must count as started, and neither side may get
// such a task.
func TestOverwrittenMarks(t *testing.T) {
	m := newMemory()
	r := rand.New(rand.NewPCG(3, 4))
	for _, lo := range starts() {
		for range 300 {
			const n = 8
			m.prepareAt(lo, n)
			for k := range r.Uint32N(n) {
				begins(t, m, lo+k)
			}

			word := lo % slots / perWord
			held := m.mark(word).Load()
			wrong := held
			for wrong == held {
				switch r.IntN(4) {
				case 0:
					wrong = r.Uint64()
				case 1:
					wrong = held ^ 1<<r.IntN(64)
				case 2:
					wrong = held&^math.MaxUint32 | uint64(r.Uint32())
				case 3:
					wrong = []uint64{0, math.MaxUint64, held + 1, m.mark((word + 1) % (slots / perWord)).Load()}[r.IntN(4)]
				}
			}

			m.mark(word).Store(wrong)
			mine, ok := m.begin(lo)
			if mine || ok || !m.begun(lo) || m.void(lo, lo+1) != lo+1 || m.intactMarks(lo, lo+1) || m.intactMarks(lo-perWord, lo+2*perWord) {
				t.Fatalf("task %d: %x is believed in place of %x", lo, wrong, held)
			}
		}
	}
}

// If a worker scribbles over its marks, its tasks may go wrong, but the parent must stay between lo
// and hi.
func TestHostileMarks(t *testing.T) {
	m := newMemory()
	r := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		lo := r.Uint32()
		n := uint32(r.IntN(slots))
		for range 10 {
			word := r.Uint32N(slots / perWord)
			m.mark(word).Store(marked(r.Uint32(), word))
		}
		if got := m.void(lo, lo+n); got-lo > n {
			t.Fatalf("void(%d, %d) = %d", lo, lo+n, got)
		}
	}
}

// CheckAll must check the marks of the tasks that are in transit.
func TestCheckAll(t *testing.T) {
	l := newLink(t)
	seq := l.Stage(Chunk{Count: 40})
	if err := l.CheckAll(); err != nil {
		t.Fatal(err)
	}
	l.mem.mark(seq%slots/perWord + 2).Store(0)
	if err := l.CheckAll(); !errors.Is(err, errGarbage) {
		t.Error(err)
	}
}
