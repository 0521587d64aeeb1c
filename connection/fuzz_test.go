package connection

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// scripted is a connection whose other end sends a fixed input, whatever it receives.
type scripted struct {
	net.Conn
	in io.Reader
}

func (s scripted) Read(b []byte) (int, error)  { return s.in.Read(b) }
func (s scripted) Write(b []byte) (int, error) { return len(b), nil }
func (s scripted) Close() error                { return nil }

func (s scripted) SetDeadline(time.Time) error { return nil }

// No input authenticates a peer that does not know the key.
func FuzzHandshake(f *testing.F) {
	f.Add([]byte(magic))
	f.Add(append([]byte(magic), make([]byte, answerSize)...))
	f.Add(append(append([]byte(magic), 1), make([]byte, answerSize)...))
	key := []byte("a key that is long enough")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := welcome(scripted{in: bytes.NewReader(b)}, key, 1, func() bool { return true }); err == nil {
			t.Errorf("welcome: % x", b)
		}
		if err := introduce(scripted{in: bytes.NewReader(b)}, key, 1); err == nil {
			t.Errorf("introduce: % x", b)
		}
	})
}

// A stream of bytes yields messages up to the first that is too long or cut off.
func FuzzMessages(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 1, 7, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add(bytes.Repeat([]byte{255}, 20))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 3, 255})
	f.Add(append([]byte{0, 0, 0, 0, 0, 3, 0, 0}, make([]byte, 100_000)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		const most = 200_000
		s := &socket{conn: scripted{}, most: most}
		in, total := bufio.NewReader(bytes.NewReader(b)), 0
		for {
			m, err := s.readMessage(in)
			if err != nil {
				break
			}
			if total += lengthSize + len(m); len(m) > most || total > len(b) {
				t.Fatal(len(m), total)
			}
		}
	})
}
