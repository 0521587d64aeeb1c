package codec

import (
	"bytes"
	"math"
	"math/big"
	"net/netip"
	"net/url"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// A hostile decodes bytes as one type. A decoded value must be encodable, unless its type has
// values that cannot be encoded.
type hostile struct {
	name   string
	decode func(data []byte) (again []byte, decoded bool, err error)
}

func hostileOf[T any](t testing.TB) hostile {
	c := codecFor[T](t)
	return hostile{reflect.TypeFor[T]().String(), func(data []byte) ([]byte, bool, error) {
		var v T
		if err := c.Decode(data, &v); err != nil {
			return nil, false, err
		}
		again, err := c.Append(nil, &v)
		return again, true, err
	}}
}

type everything struct {
	I    int8
	U    uint64
	F    float32
	S    string
	B    []byte
	Arr  [4]byte
	Mine myBytes
	T    time.Time
	PT   *time.Time
	Any  any
	List []any
	Map  map[string]any
	NaNs map[float64]any
	Sh   []shape
	Tree *tree
	Addr map[netip.Addr]string
	URL  url.URL
	Big  *big.Int
	Nest *nested
	Tok  token
	Text map[texter]int
	Enum textEnum
	Bool []bool
}

func hostiles(t testing.TB) []hostile {
	return []hostile{
		hostileOf[int](t), hostileOf[bool](t), hostileOf[string](t), hostileOf[[]byte](t), hostileOf[[]plainPair](t), hostileOf[plainPair](t),
		hostileOf[struct{}](t), hostileOf[[]struct{}](t), hostileOf[time.Time](t), hostileOf[any](t), hostileOf[[]any](t),
		hostileOf[map[string]any](t), hostileOf[nanMap](t), hostileOf[[]shape](t), hostileOf[everything](t), hostileOf[tree](t), hostileOf[*ring](t),
		hostileOf[netip.Addr](t), hostileOf[url.URL](t), hostileOf[big.Int](t), hostileOf[map[texter][]token](t), hostileOf[row](t),
		hostileOf[selfSlice](t), hostileOf[map[float64]string](t),
	}
}

func FuzzDecode(f *testing.F) {
	all := hostiles(f)
	add := func(b []byte, err error) {
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}

	full := everything{S: "\xff", B: []byte{}, T: time.Unix(1, 2), Any: int8(1), List: []any{square{1}, &circle{2}, time.Unix(3, 4), []any(nil)},
		Map: map[string]any{"a": nil, "b": names(nil)}, NaNs: map[float64]any{math.NaN(): int16(1)}, Sh: []shape{&circle{1}, nil},
		Tree: &tree{Kids: []*tree{nil}}, Addr: map[netip.Addr]string{{}: ""}, Big: big.NewInt(7), Nest: &nested{Any: &nested{}},
		Text: map[texter]int{{"a"}: 1}}

	add(codecFor[everything](f).Append(nil, &full))
	x := any([]any{int32(1), map[string]any{"t": time.Unix(1, 0)}, scores{"a": 1}, token{[]byte("x")}})
	add(codecFor[any](f).Append(nil, &x))
	sq := []shape{square{1}, &circle{2}}
	add(codecFor[[]shape](f).Append(nil, &sq))
	f.Add([]byte(nil))
	f.Add(bytes.Repeat([]byte{0x81}, 1000))
	f.Fuzz(func(t *testing.T, data []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for _, h := range all {
			_, _, err := h.decode(data)
			if err != nil && strings.Contains(err.Error(), "panic in a marshaller") && !usersFault(h.name) {
				t.Errorf("%s: % x: %v", h.name, data, err)
			}
		}

		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 16<<20+uint64(len(data))<<16 {
			t.Errorf("%d bytes allocated for % x", got, data)
		}
	})
}

// usersFault reports whether a type's own unmarshaller may index out of range.
func usersFault(name string) bool {
	return strings.Contains(name, "texter") || strings.Contains(name, "everything")
}

// A length may claim more bytes than follow.
func TestLyingHeads(t *testing.T) {
	lies := [][]byte{
		{0x9b, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff}, {0x9a, 0x7f, 0xff, 0xff, 0xff}, {0x9a, 0xff, 0xff, 0xff, 0xff},
		{0xbb, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff}, {0xba, 0x7f, 0xff, 0xff, 0xff}, {0xba, 0xff, 0xff, 0xff, 0xff, 0x61, 0x61, 1},
		{0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {0x5a, 0x7f, 0xff, 0xff, 0xff}, {0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		{0x7a, 0x7f, 0xff, 0xff, 0xff, 'a'}, {0x9f, 1}, {0xbf, 0x61, 0x61}, {0x5f, 0x41, 1}, {0x82, 1}, {0xa1, 0x61, 0x61}, {0xff}, {0xc0}, {0xc2, 0x5a, 0x7f, 0xff, 0xff, 0xff},
	}

	for _, h := range hostiles(t) {
		switch h.name {
		case "string", "[]uint8", "url.URL", "int": // some of these are values
			continue
		}

		for _, data := range lies {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if _, decoded, _ := h.decode(data); decoded {
				t.Errorf("%s: % x was decoded", h.name, data)
			}
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
				t.Errorf("%s: %d bytes allocated for % x", h.name, got, data)
			}
		}
	}
}

// Deep nesting is rejected or decoded, but never overflows a stack. Encoding a decoded value that
// is too deep is an error, too.
func TestHostileDepth(t *testing.T) {
	for _, n := range []int{1000, maxDepth + 10, 1_000_000} {
		data := append(bytes.Repeat([]byte{0x81}, n), 0x01)
		for _, h := range hostiles(t) {
			_, decoded, err := h.decode(data)
			switch h.name {
			case "string", "netip.Addr", "[]uint8", "[]codec.plainPair": // all bytes are values
			default:
				if decoded && n == 1_000_000 {
					t.Errorf("%s: depth %d was decoded (%v)", h.name, n, err)
				}
			}

			if decoded && h.name == "[]interface {}" && (err == nil) != (n < maxDepth) {
				t.Errorf("%s: depth %d: %v", h.name, n, err)
			}
		}
	}
}

func TestWrongLengths(t *testing.T) {
	var i int32
	for _, data := range [][]byte{nil, {1}, {1, 2, 3}, {1, 2, 3, 4, 5}} {
		if err := codecFor[int32](t).Decode(data, &i); err == nil {
			t.Errorf("% x is an int32", data)
		}
	}

	var b bool
	for _, data := range [][]byte{nil, {2}, {255}, {0, 0}} {
		if err := codecFor[bool](t).Decode(data, &b); err == nil {
			t.Errorf("% x is a bool", data)
		}
	}

	s := []uint32{9}
	for _, data := range [][]byte{nil, {2}, {0, 1}, {0, 0, 0, 0, 0, 1}, {0, 0, 0, 0, 0}, {255}, {0, 0, 0, 0, 2}} {
		if err := codecFor[[]uint32](t).Decode(data, &s); err == nil {
			t.Errorf("% x is a []uint32", data)
		}
	}
	if s[0] != 9 {
		t.Error("a failed Decode has changed the value")
	}
	var e struct{}
	if err := codecFor[struct{}](t).Decode([]byte{0}, &e); err == nil {
		t.Error("a byte is an empty struct")
	}
}

// A worker can send several NaN keys, each of which is a separate key.
func TestHostileNaNKeys(t *testing.T) {
	c := codecFor[map[float64]any](t)
	in := map[float64]any{}
	for range 100 {
		in[math.NaN()] = int16(7)
	}

	data, err := c.Append(nil, &in)
	if err != nil {
		t.Fatal(err)
	}
	var got map[float64]any
	if err := c.Decode(data, &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 100 {
		t.Errorf("%d keys", len(got))
	}

	for _, v := range got {
		if v != int16(7) {
			t.Fatalf("%T %v", v, v)
		}
	}
}

// The tags of types may be wrong as well.
func TestHostileTags(t *testing.T) {
	tagged := func(tag uint64, item ...byte) []byte { return append(appendHead(nil, majorTag, tag), item...) }
	// The list of files is empty.
	framed := func(head, item []byte) []byte { return slices.Concat([]byte{0}, head, item, []byte{noTickets}) }
	of := func(v reflect.Type) uint64 { tag, _ := tagOf(v); return tag }
	lies := [][]byte{
		tagged(0, null), tagged(firstBasic-1, null), tagged(firstBasic+uint64(len(basic)), null), tagged(math.MaxUint64, null),
		tagged(of(timeType), null), tagged(of(timeType), 0x82), tagged(of(timeType), 0x82, 0, 0x1a, 0x3b, 0x9a, 0xca, 0), // 1e9 ns
		tagged(of(timeType), 0x86, 0, 0, 9, 0x60, 0x60, 0), tagged(of(timeType), 0x81, 0),
		tagged(of(reflect.TypeFor[square]()), null), tagged(of(reflect.TypeFor[square]()), 0x80), tagged(of(reflect.TypeFor[int8]()), 0x18, 200),
		tagged(of(reflect.TypeFor[uint8]()), 0x20), tagged(of(reflect.TypeFor[names]()), 0x9a, 0xff, 0xff, 0xff, 0xff),
		tagged(of(reflect.TypeFor[secretive]()), 0x80), tagged(of(reflect.TypeFor[bool]()), 1), {0x80}, {1}, {yes},
	}

	c := codecFor[any](t)
	for _, data := range lies {
		var got any
		if err := c.Decode(framed(nil, data), &got); err == nil || got != nil {
			t.Errorf("% x arrived as %#v, %v", data, got, err)
		}
	}

	var ok any
	if err := c.Decode(framed(nil, tagged(of(timeType), 0x82, 1, 2)), &ok); err != nil || ok != any(time.Unix(1, 2).UTC()) {
		t.Errorf("a time arrived as %v, %v", ok, err)
	}

	type in struct{ S shape }
	ci := codecFor[in](t)
	for _, data := range [][]byte{tagged(of(reflect.TypeFor[int]()), 1), tagged(of(timeType), 0x82, 0, 0), tagged(of(reflect.TypeFor[token]()), 0x40)} {
		var got in
		if err := ci.Decode(framed([]byte{0x81}, data), &got); err == nil {
			t.Errorf("% x arrived as %#v", data, got)
		}
	}
}
