package codec

import (
	"encoding/binary"
	"errors"
	"os"
	"testing"
)

// When a value cannot be decoded, its received files are discarded without waiting: closing a file takes as long
// as its sender pleases, and callers may be waiting for the decoding goroutine.
func TestFilesReceivedInVain(t *testing.T) {
	before := transport
	defer func() { transport = before }()
	var received, discarded []*os.File
	no := errors.New("no such file")
	transport.receive = func(id uint64, _ string, _ bool) (*os.File, error) {
		if id == 3 {
			return nil, no
		}
		f, err := os.Open(os.DevNull)
		received = append(received, f)
		return f, err
	}
	transport.discard = func(f *os.File) { discarded = append(discarded, f) }
	transport.send = func(*os.File) (uint64, error) { return 7, nil }

	c, err := ForResult[[]*os.File]()
	if err != nil {
		t.Fatal(err)
	}
	here := []*os.File{os.Stdin, os.Stdout, os.Stderr}
	b, err := c.Append(nil, &here)
	if err != nil {
		t.Fatal(err)
	}
	at := 1
	for id := range uint64(3) { // as if each had a number of its own
		binary.LittleEndian.PutUint64(b[at:], id+1)
		at += 9 + len(here[id].Name())
	}
	var v []*os.File
	if err := c.Decode(b, &v); !errors.Is(err, no) {
		t.Error(err)
	}
	if len(received) != 2 || len(discarded) != 2 {
		t.Errorf("%d files were received, and %d discarded", len(received), len(discarded))
	}
	for _, f := range received {
		if err := f.Close(); err != nil {
			t.Error("who decodes has closed it: ", err)
		}
	}
}
