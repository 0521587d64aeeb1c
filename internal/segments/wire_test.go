//go:build linux

package segments

import (
	"errors"
	"io"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/sys"
)

// The last messages of a process that has died arrive, even if it died with unread messages.
func TestLastWords(t *testing.T) {
	ours, theirs, err := Pair()
	if err != nil {
		t.Fatal(err)
	}

	var closer sys.Closer
	a, err := newConn(ours, &closer)
	if err != nil {
		t.Fatal(err)
	}

	b, err := newConn(theirs, &closer)
	if err != nil {
		t.Fatal(err)
	}

	for id := range uint64(3) {
		if err := b.send(message{op: opDrop, id: id, fd: -1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.send(message{op: opReply, fd: -1}); err != nil {
		t.Fatal(err)
	}
	_ = b.file.Close()
	for id := range uint64(3) {
		if m, err := a.receive(); err != nil || m.op != opDrop || m.id != id {
			t.Errorf("%+v, %v", m, err)
		}
	}
	if m, err := a.receive(); !errors.Is(err, io.EOF) && !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("after the end: %+v, %v", m, err)
	}
	_ = a.file.Close()
}
