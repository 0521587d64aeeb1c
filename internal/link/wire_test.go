package link

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
)

func head(kind, seq uint32, n uint64) []byte {
	b := binary.LittleEndian.AppendUint32(nil, kind)
	b = binary.LittleEndian.AppendUint32(b, seq)
	return binary.LittleEndian.AppendUint64(b, n)
}

// anything holds the bounds of these tests.
var anything = func() bounds {
	b := bounds{}
	for kind := uint32(msgHello); kind <= msgAsk; kind++ {
		b[kind] = 1 << 40
	}
	return b
}()

func TestMessagesArrive(t *testing.T) {
	for _, size := range []int{0, 1, 4095, 4096, 4097, 1 << 20, 1<<20 + 1, 5 << 20} {
		body := bytes.Repeat([]byte{7}, size)
		var buf bytes.Buffer
		s := sender{w: &buf}
		for range 2 {
			if err := s.send(msgPayload, math.MaxUint32, body); err != nil {
				t.Fatal(err)
			}
		}

		for _, r := range []io.Reader{bytes.NewReader(buf.Bytes()), iotest.HalfReader(bytes.NewReader(buf.Bytes())), iotest.DataErrReader(bytes.NewReader(buf.Bytes()))} {
			for range 2 {
				kind, seq, got, err := receive(r, anything)
				if err != nil || kind != msgPayload || seq != math.MaxUint32 || !bytes.Equal(got, body) {
					t.Fatalf("%d bytes: %d %d %d bytes, %v", size, kind, seq, len(got), err)
				}
			}
			if _, _, _, err := receive(r, anything); err != io.EOF {
				t.Errorf("at the end: %v", err)
			}
		}
	}
}

func TestHostileHeads(t *testing.T) {
	for _, h := range [][]byte{
		head(0, 0, 0), head(msgAsk+1, 0, 0), head(math.MaxUint32, 0, 0), head(msgHello, 0, 1<<40+1), head(msgPayload, 0, math.MaxUint64), head(msgLog, 0, math.MaxInt64),
	} {
		if _, _, _, err := receive(bytes.NewReader(append(h, "body"...)), anything); !errors.Is(err, errGarbage) {
			t.Errorf("% x: %v", h, err)
		}
	}

	// These heads claim more bytes than arrive.
	for _, n := range []uint64{5, 1 << 20, 1 << 30, 1 << 40} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, body, err := receive(bytes.NewReader(append(head(msgPayload, 0, n), "body"...)), anything)
		runtime.ReadMemStats(&after)
		if err == nil || body != nil {
			t.Errorf("%d bytes promised: %d came, %v", n, len(body), err)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > 4<<20 {
			t.Errorf("%d bytes promised, 4 sent, %d allocated", n, got)
		}
	}

	for n := range headSize {
		_, _, _, err := receive(bytes.NewReader(head(msgReady, 0, 0)[:n]), anything)
		if want := map[bool]error{true: io.EOF, false: io.ErrUnexpectedEOF}[n == 0]; err != want {
			t.Errorf("%d bytes of a head: %v", n, err)
		}
	}
}

// Messages must not be mixed up if several goroutines send at the same time.
func TestSendersDoNotMix(t *testing.T) {
	pr, pw := io.Pipe()
	s := sender{w: pw}
	const each = 200
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range each {
				body := bytes.Repeat([]byte{byte(g)}, (i*97)%9000)
				if err := s.send(msgPayload, uint32(g), body); err != nil {
					t.Error(err)
				}
			}
		})
	}

	for range 4 * each {
		_, seq, body, err := receive(pr, anything)
		if err != nil {
			t.Fatal(err)
		}

		for _, b := range body {
			if b != byte(seq) {
				t.Fatal("two messages are mixed")
			}
		}
	}
	wg.Wait()
}

func TestHelloAndConfigTravel(t *testing.T) {
	for _, h := range []Hello{
		{}, {Version: 1, Build: "b", Funcs: []FuncID{{"pkg.f", 1, math.MaxUint64}, {"", 0, 0}, {strings.Repeat("n", 1000), 5, 6}}}, {Build: "\xff\x00"},
	} {
		got, err := parseHello(h.append(nil))
		if err != nil || !reflect.DeepEqual(got, h) {
			t.Errorf("%+v arrived as %+v, %v", h, got, err)
		}

		for n := range h.append(nil) {
			if got, err := parseHello(h.append(nil)[:n]); err == nil {
				t.Errorf("the first %d bytes of %+v are %+v", n, h, got)
			}
		}
		if _, err := parseHello(append(h.append(nil), 0)); err == nil {
			t.Error("a byte too many is no error")
		}
	}

	for _, c := range []Config{
		{Setup: Bound{Arg: []byte{}}, Teardown: Bound{Arg: []byte{}}},
		{Version: 1, Worker: 2, Procs: 3, LogLevel: -4, Limits: Limits{Memory: 1 << 40, Files: 7, Nice: 19, NoCore: true}, Single: true, Daemon: true, Name: "n", Parent: "p", Setup: Bound{"s", []byte{1, 2}}, Teardown: Bound{"t", []byte{0xff}}},
		{Version: math.MaxInt32, LogLevel: 12, Setup: Bound{Arg: bytes.Repeat([]byte{1}, 100_000)}, Teardown: Bound{Arg: []byte{}}},
		{LogLevel: math.MinInt32, Setup: Bound{Arg: []byte{}}, Teardown: Bound{Arg: []byte{}}},
	} {
		got, err := parseConfig(c.append(nil))
		if err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("%+v arrived as %+v, %v", c, got, err)
		}
		for _, n := range []int{0, 1, 5, len(c.append(nil)) - 1} {
			if _, err := parseConfig(c.append(nil)[:n]); err == nil {
				t.Errorf("the first %d bytes of %+v pass", n, c)
			}
		}
	}
}

// A greeting that claims more functions than it contains, or than a program can have, must cost
// little memory.
func TestForgedHello(t *testing.T) {
	head := binary.AppendUvarint(appendString(binary.AppendUvarint(nil, Version), "build"), 1<<40)
	huge := appendString(binary.AppendUvarint(appendString(binary.AppendUvarint(nil, Version), "build"), 1), strings.Repeat("n", 2*maxHello))
	for name, data := range map[string][]byte{
		"claimed": head,
		"begun":   append(head[:len(head):len(head)], make([]byte, 3<<20)...),
		"many":    append(head[:len(head):len(head)], make([]byte, 64<<20)...),
		"name":    append(huge, 1, 1),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := parseHello(data)
		runtime.ReadMemStats(&after)
		if all := after.TotalAlloc - before.TotalAlloc; all > 1<<20 {
			t.Errorf("%s: %d bytes allocated", name, all)
		}
		if !errors.Is(err, errGarbage) {
			t.Errorf("%s: %v", name, err)
		}
	}

	many := Hello{Version: Version, Build: "build"}
	for range 50_000 {
		many.Funcs = append(many.Funcs, FuncID{strings.Repeat("n", 100), math.MaxUint64, math.MaxUint64})
	}

	if h, err := parseHello(many.append(nil)); err != nil || len(h.Funcs) != len(many.Funcs) {
		t.Errorf("a large program: %d functions, %v", len(h.Funcs), err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Hello{Version: 1, Build: "b", Funcs: []FuncID{{"pkg.f", 1, 2}}}.append(nil))
	f.Add(Config{Version: 1, Setup: Bound{"s", []byte{1}}}.append(nil))
	f.Add([]byte{1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		if h, err := parseHello(data); err == nil {
			if again, err := parseHello(h.append(nil)); err != nil || !reflect.DeepEqual(again, h) {
				t.Errorf("%+v, sent on, is %+v, %v", h, again, err)
			}
		} else if len(h.Funcs) > len(data)/3+1 {
			t.Errorf("%d functions in %d bytes", len(h.Funcs), len(data))
		}

		if c, err := parseConfig(data); err == nil {
			if again, err := parseConfig(c.append(nil)); err != nil || !reflect.DeepEqual(again, c) {
				t.Errorf("%+v, sent on, is %+v, %v", c, again, err)
			}
		}
	})
}

func FuzzReceive(f *testing.F) {
	f.Add(append(head(msgPayload, 1, 3), "abc"...))
	f.Add(head(msgLog, 1, 1<<39))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		for {
			kind, seq, body, err := receive(r, anything)
			if err != nil {
				return
			}

			var buf bytes.Buffer
			s := sender{w: &buf}
			if err := s.send(kind, seq, body); err != nil || !bytes.Contains(data, buf.Bytes()) {
				t.Fatalf("%d %d % x, %v", kind, seq, body, err)
			}
		}
	})
}
