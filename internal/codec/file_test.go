package codec

import (
	"encoding/binary"
	"errors"
	"os"
	"testing"
)

// When a value cannot be decoded, its received files are discarded without waiting. The value's
// sender decides how long closing a file takes, and callers may be waiting for the decoding
// goroutine.
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

// A corrupt process cannot cause an unlimited number of requests. Each number in a list costs one
// request.
func TestLongLists(t *testing.T) {
	before := transport
	defer func() { transport = before }()
	questions := 0
	transport.lose = func(ids []uint64) { questions += len(ids) }
	transport.receive = func(uint64, string, bool) (*os.File, error) { questions++; return nil, errors.New("none") }
	c, err := ForResult[*os.File]()
	if err != nil {
		t.Fatal(err)
	}

	const n = maxFiles + 1
	list := binary.AppendUvarint(nil, n)
	list = append(list, make([]byte, 9*n+1)...)
	var f *os.File
	if err := c.Decode(list, &f); err == nil {
		t.Error("it was decoded")
	}
	c.Lose(list)
	if questions > 2*maxFiles {
		t.Errorf("%d questions", questions)
	}

	old := objects
	defer func() { objects = old }()
	objects.TicketSize = 34
	tail := binary.LittleEndian.AppendUint32(make([]byte, 34*(maxTickets+1)), maxTickets+1)
	if _, tickets, err := splitTickets(append(tail, someTickets)); err == nil || len(tickets) > 0 {
		t.Errorf("%d bytes of tickets", len(tickets))
	}
}

// A value with more files than the receiver accepts is not sent, and the files sent so far are
// withdrawn.
func TestTooManyFiles(t *testing.T) {
	before := transport
	defer func() { transport = before }()
	sent, lost := 0, 0
	transport.send = func(*os.File) (uint64, error) { sent++; return uint64(sent), nil }
	transport.forget = func(ids []uint64) { lost += len(ids) }
	c, err := ForResult[[]*os.File]()
	if err != nil {
		t.Fatal(err)
	}

	files := make([]*os.File, maxFiles+1)
	for i := range files {
		files[i] = os.Stdin
	}

	if _, err := c.Append(nil, &files); err == nil {
		t.Error("it was encoded")
	}
	if sent != maxFiles+1 || lost != sent {
		t.Errorf("%d files were sent, and %d taken back", sent, lost)
	}
}
