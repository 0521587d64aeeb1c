package sched

import (
	"math"
	"testing"
	"time"
)

// Task 2 runs while the results of tasks 0 and 1 are uncollected in the ring. Cancel must report 2,
// because that task must be told to end and, if it ignores that, its worker must be killed. If
// Cancel reported 0, the worker would continue. After the grace period, the front would no longer
// be the reported task, so no worker would be killed, and the caller would wait forever.
func TestCancelReportsTheTaskThatRuns(t *testing.T) {
	var f fixture
	f.Workers(1, 1)
	j := newJob(known(time.Millisecond), 5, 0)
	w := f.worker()
	f.launch(w, j.Take())
	begin(w, 0, 1, 2)
	d := dropped{}
	f.Drop(j, d.add)
	if seq, any := f.Cancel(w, j, d.addOf); !any || seq != 2 {
		t.Errorf("task %d is reported (%v), and 2 is running", seq, any)
	}
	d.exactly(t, 3, 5)
}

// The same must hold if the job's tasks are in two chunks.
func TestCancelReportsTheTaskThatRunsInTheLastChunk(t *testing.T) {
	var f fixture
	f.Workers(1, 1)
	j := newJob(known(time.Millisecond), 8, 4)
	f.Add(j)
	w := f.worker()
	for range 2 {
		c, _ := f.Claim(w, 100)
		f.launch(w, c)
	}

	begin(w, 0, 1, 2, 3, 4)
	d := dropped{}
	f.Drop(j, d.add)
	if seq, any := f.Cancel(w, j, d.addOf); !any || seq != 4 {
		t.Errorf("task %d is reported (%v), and 4 is running", seq, any)
	}
	d.exactly(t, 5, 8)
}

// A worker writes its busy time itself. A false time must not overflow the time ahead, because
// otherwise no task would ever be stolen from workers with such tasks.
func TestHugeAveragesDoNotOverflow(t *testing.T) {
	for _, each := range []time.Duration{math.MaxInt64, math.MaxInt64 - 1, math.MaxInt64/2 + 1} {
		var f fixture
		f.Workers(2, 1)
		w := f.worker()
		j := newJob(known(each), 10, 0)
		f.launch(w, j.Take())
		if took, _ := f.Steal([]*Worker{w}, true, nil); !took || w.Ahead() < 0 {
			t.Errorf("average %d: %v ahead, stolen %v", each, w.Ahead(), took)
		}
	}
}
