//go:build linux

package manager

import (
	"slices"
	"testing"

	"github.com/go-multiprocessing/mp/ipc"
)

// A client that sends requests all the time does not keep others out: soon also finds a client at
// the door.
func TestFrontLooksAtTheDoor(t *testing.T) {
	door, err := ipc.NewQueue[hello]()
	if err != nil {
		t.Fatal(err)
	}

	defer door.Discard()
	ours, theirs, err := ipc.NewPipe[protocol]()
	if err != nil {
		t.Fatal(err)
	}

	defer theirs.Close()
	defer ours.Close()
	stop, err := ipc.NewEvent()
	if err != nil {
		t.Fatal(err)
	}

	defer stop.Close()
	f := newFront(nil, door, stop)
	f.peers, f.waits = []*peer{{conn: ours}}, append(f.waits, ours)
	if err := theirs.SendBytes(t.Context(), []byte("a request")); err != nil {
		t.Fatal(err)
	}

	if ready := f.soon(); !slices.Equal(ready, []int{2}) {
		t.Error(ready)
	}
	if err := door.Put(t.Context(), hello{Name: "another"}); err != nil {
		t.Fatal(err)
	}
	if ready := f.soon(); !slices.Equal(ready, []int{1, 2}) {
		t.Error(ready)
	}
	_ = door.Close()
	if _, err := door.Get(t.Context()); err != nil {
		t.Error(err)
	}
	if ready := f.soon(); !slices.Equal(ready, []int{1, 2}) {
		t.Error("closed: ", ready)
	}
}
