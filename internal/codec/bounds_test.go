package codec

import (
	"bytes"
	"strings"
	"testing"
)

// endless encodes itself as an array of indefinite length.
type endless struct{ N int }

func (e endless) MarshalCBOR() ([]byte, error) {
	return append(append([]byte{0x9f}, bytes.Repeat([]byte{1}, e.N)...), 0xff), nil
}

func (e *endless) UnmarshalCBOR(data []byte) error {
	e.N = len(data) - 2
	return nil
}

func refuse[T any](t *testing.T, data ...byte) {
	t.Helper()
	var v T
	if err := codecFor[T](t).Decode(data, &v); err == nil || !strings.Contains(err.Error(), "indefinite") {
		t.Errorf("%.10x decoded as %T: %v", data, v, err)
	}
}

// Arrays, maps and texts of indefinite length are rejected, because the library takes quadratic
// time for nested ones. A type that writes them itself may use them.
func TestWithoutLengths(t *testing.T) {
	refuse[selfSlice](t, 0x9f, 0xff)
	refuse[selfSlice](t, 0x81, 0x9f, 0xff)
	refuse[map[string]string](t, 0xbf, 0xff)
	refuse[[]string](t, 0x81, 0x7f, 0x61, 'a', 0xff)
	refuse[[][]byte](t, 0x81, 0x5f, 0x41, 1, 0xff)
	refuse[selfSlice](t, append(bytes.Repeat([]byte{0x9f}, 9000), bytes.Repeat([]byte{0xff}, 9000)...)...)
	for _, n := range []int{0, 3} {
		in := []endless{{n}, {2 * n}}
		data, err := codecFor[[]endless](t).Append(nil, &in)
		if err != nil {
			t.Fatal(err)
		}

		var out []endless
		if err := codecFor[[]endless](t).Decode(data, &out); err != nil || out[1] != in[1] {
			t.Errorf("%v arrived as %v, %v", in, out, err)
		}
	}
}

// A message that exceeds its bounds is an error, and the bounds are exact.
func TestDecodeWithin(t *testing.T) {
	type message struct {
		Text string  `cbor:"1,keyasint"`
		Kids [][]int `cbor:"2,keyasint"`
	}
	data, err := AppendAny(nil, message{"hello", [][]int{{1}, {2, 3}}})
	if err != nil {
		t.Fatal(err)
	}
	exact := Bounds{Bytes: len(data), Items: 10, Depth: 3}
	var got message
	if err := DecodeWithin(data, &got, exact); err != nil || got.Kids[1][1] != 3 {
		t.Errorf("%v, %v", got, err)
	}

	for want, b := range map[string]Bounds{
		"bytes":  {exact.Bytes - 1, exact.Items, exact.Depth},
		"values": {exact.Bytes, exact.Items - 1, exact.Depth},
		"deep":   {exact.Bytes, exact.Items, exact.Depth - 1},
	} {
		got := message{Text: "before"}
		if err := DecodeWithin(data, &got, b); err == nil || !strings.Contains(err.Error(), want) || got.Text != "before" {
			t.Errorf("%s: %v, %v", want, got, err)
		}
	}

	for _, forged := range [][]byte{nil, data[:len(data)-1], append(data[:len(data):len(data)], 0), {0xc1, 0}, {0x9f, 0xff}, {0x1c}, {0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}} {
		if err := DecodeWithin(forged, &got, Bounds{1 << 20, 1 << 20, 100}); err == nil {
			t.Errorf("% x was decoded", forged)
		}
	}
	if text := FirstText(data); text != "hello" {
		t.Errorf("it begins with %q", text)
	}

	for _, other := range [][]byte{nil, {0xa1}, {0xa1, 1}, {0xa1, 1, 5}, {0xa1, 2, 0x61, 'x'}, {0x81, 0x61, 'x'}, {0xa1, 1, 0x7f}} {
		if text := FirstText(other); text != "" {
			t.Errorf("% x begins with %q", other, text)
		}
	}
	if text := FirstText([]byte{0xa1, 1, 0x7b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 'x'}); text != "x" {
		t.Errorf("a cut text is %q", text)
	}
}
