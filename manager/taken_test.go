//go:build linux

package manager_test

import (
	"testing"
	"time"

	"github.com/go-multiprocessing/mp/internal/inside"
	"github.com/go-multiprocessing/mp/manager"
)

// A client that takes long answers and does not release their memory gets no more of them than a process may leave
// unread. If others need the room, it is disconnected, and the memory is given back.
func TestAnswersTakenAndNotReleased(t *testing.T) {
	m := start(t, manager.Config{})
	v := must(manager.NewValue(t.Context(), m, make([]byte, 20<<20)))
	c := must(m.Knock(soon(t)))
	defer c.Close()
	if err := c.SendBytes(soon(t), manager.Loads(manager.NumberOf(v), 40)); err != nil {
		t.Fatal(err)
	}
	taken := 0
	for quiet := 0; quiet < 100; quiet++ {
		if ready, err := c.Poll(soon(t), 20*time.Millisecond); err != nil {
			t.Fatal(err)
		} else if !ready {
			continue
		}
		if _, err := inside.TakeRecord(c); err != nil {
			break
		}
		taken, quiet = taken+1, 0
	}
	if taken < 1 || taken > 12 {
		t.Errorf("%d answers of 20 MiB were taken", taken)
	}
	for range 3 { // there is room, or it is made
		if b, err := v.Load(soon(t)); err != nil || len(b) != 20<<20 {
			t.Error(len(b), err)
		}
	}
}
