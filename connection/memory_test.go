package connection

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/iotest"
)

// A claimed length costs no memory: memory is allocated only as bytes arrive.
func TestClaims(t *testing.T) {
	for _, sent := range []int{0, 1, 1000, firstAlloc, firstAlloc + 1, 3 * firstAlloc, 1 << 20, 5 << 20} {
		b, err := readN(bytes.NewReader(make([]byte, sent)), 1<<30)
		if err == nil || cap(b) > max(2*sent, firstAlloc) {
			t.Errorf("%d bytes for %d that came: %v", cap(b), sent, err)
		}
	}
	for _, n := range []int{0, 1, firstAlloc, 3*firstAlloc + 7} {
		want := bytes.Repeat([]byte("abc"), n)[:n]
		if b, err := readN(bytes.NewReader(want), n); !bytes.Equal(b, want) || err != nil || cap(b) != n {
			t.Errorf("%d bytes of %d: %v", len(b), n, err)
		}
	}
}

// With the defaults, a listener buffers at most a gibibyte of messages. Explicit values are not
// changed.
func TestDefaultMemory(t *testing.T) {
	key := make([]byte, MinKey)
	for most, conns := range map[int]int{0: 64, 1 << 10: 1024, 1 << 20: 1024, 16 << 20: 64, 64 << 20: 16, 1 << 30: 16} {
		c, err := Config{Key: key, MaxMessage: most}.withDefaults()
		if err != nil || c.MaxConns != conns {
			t.Errorf("MaxMessage %d: MaxConns %d, %v", most, c.MaxConns, err)
		}
	}
	if c, err := (Config{Key: key, MaxConns: 5000}).withDefaults(); c.MaxConns != 5000 || c.MaxMessage != DefaultMaxMessage || err != nil {
		t.Error(c.MaxConns, c.MaxMessage, err)
	}
}

// A peer that sends one byte at a time is served, however long that takes.
func TestByteByByte(t *testing.T) {
	here, there := net.Pipe()
	s := newSocket(here, 1000, func() {})
	defer s.Close()
	go func() {
		in := iotest.OneByteReader(bytes.NewReader(append([]byte{0, 0, 0, 0, 0, 0, 1, 0}, make([]byte, 256)...)))
		_, _ = io.CopyBuffer(there, in, make([]byte, 1))
	}()
	if b, err := s.Recv(t.Context(), nil); len(b) != 256 || err != nil {
		t.Error(len(b), err)
	}
	_ = there.Close()
}
