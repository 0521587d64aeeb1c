//go:build linux

package xsync_test

import (
	"testing"

	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A process may die after it has closed the last end of a pipe and before it has released the
// pipe's memory. In that case, Reap reports that the memory must be released. If the process has
// closed the first end, the other process releases the memory.
func TestDeathAfterTheLastEnd(t *testing.T) {
	for last := range 2 {
		w := newWorld(t)
		tables := w.waitTables(2, 3)
		m := w.memory(tables[0], 0)
		data := m.Bytes[xsync.PipeHead : xsync.PipeHead+1024]
		ours := xsync.NewPipe(m, data)
		epoch, ok := ours.Depart(1, 0, true)
		if !ok {
			t.Fatal("it does not depart")
		}

		theirs := xsync.OpenPipe(w.memory(tables[1], 0), data)
		if !theirs.Arrive(1, epoch) {
			t.Fatal("it does not arrive")
		}
		ends := []func() bool{func() bool { return ours.CloseEnd(0, 0) }, func() bool { return theirs.CloseEnd(1, epoch) }}
		if ends[1-last]() || !ends[last]() {
			t.Fatal("the first is taken for the last")
		}

		for i, slot := range []int{2, 3} {
			if over := xsync.Reap(xsync.KindPipe, m.Bytes, slot); over != (i == last) {
				t.Errorf("last %d, process %d: %v", last, i, over)
			}
		}
	}
}
