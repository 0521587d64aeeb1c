//go:build linux

package manager_test

import (
	"testing"
	"time"

	"github.com/go-multiprocessing/mp/internal/inside"
	"github.com/go-multiprocessing/mp/manager"
)

// A client that receives long answers without releasing their memory gets no more of these answers
// than a process may leave unread. If others need the room, the client is disconnected, and the
// memory is given back.
func TestAnswersTakenAndNotReleased(t *testing.T) {
	m := start(t, manager.Config{})
	v := must(manager.NewValue(t.Context(), m, make([]byte, 20<<20)))
	c := must(m.Knock(soon(t)))
	defer c.Close()
	if err := c.SendBytes(soon(t), manager.Loads(manager.NumberOf(v), 40)); err != nil {
		t.Fatal(err)
	}

	var taken []func()
	for quiet := 0; quiet < 100; quiet++ {
		if ready, err := c.Poll(soon(t), 20*time.Millisecond); err != nil {
			t.Fatal(err)
		} else if !ready {
			continue
		}
		release, err := inside.TakeRecord(c)
		if err != nil {
			break
		}
		taken, quiet = append(taken, release), 0
	}

	if len(taken) < 1 || len(taken) > 12 {
		t.Errorf("%d answers of 20 MiB were taken", len(taken))
	}

	for range 3 { // there is room, or the manager makes room
		if b, err := v.Load(soon(t)); err != nil || len(b) != 20<<20 {
			t.Error(len(b), err)
		}
	}
	for _, release := range taken { // the manager may end before it has given back the answers' memory
		release()
	}
}
