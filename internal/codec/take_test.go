package codec

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"unsafe"
)

// isIn reports whether p points into b.
func isIn[T any](b []byte, p *T) bool {
	at, from := uintptr(unsafe.Pointer(p)), uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	return at >= from && at < from+uintptr(len(b))
}

func taken[T any](t *testing.T, v T, from int) (data []byte, got T) {
	t.Helper()
	c := codecFor[T](t)
	data, err := c.Append(make([]byte, from), &v)
	if err != nil {
		t.Fatal(err)
	}
	data = data[from:]
	if err := c.Take(data, &got); err != nil || !reflect.DeepEqual(got, v) {
		t.Fatalf("taken from %d bytes: %v", len(data), err)
	}
	return data, got
}

// Large data that has the layout of the value in memory is not copied.
func TestTakeKeeps(t *testing.T) {
	text := strings.Repeat("much ", Large)
	if data, got := taken(t, text, 0); !isIn(data, unsafe.StringData(got)) {
		t.Error("a string was copied")
	}
	octets := []byte(text)
	if data, got := taken(t, octets, 0); !isIn(data, &got[0]) {
		t.Error("bytes were copied")
	} else if got = append(got, 9); isIn(data, &got[0]) {
		t.Error("append to what was taken writes behind it")
	}
	if data, got := taken(t, make([]float64, Large), 0); !isIn(data, &got[0]) {
		t.Error("aligned numbers were copied")
	}
}

// Small or misaligned data is copied.
func TestTakeCopies(t *testing.T) {
	if data, got := taken(t, make([]float64, Large), 4); isIn(data, &got[0]) {
		t.Error("numbers were taken from where they are not aligned")
	}
	if data, got := taken(t, make([]byte, Large-1), 0); len(data) > Large || isIn(data, &got[0]) {
		t.Error("what others will write over was taken")
	}
	if data, got := taken(t, strings.Repeat("x", Large), 0); isIn(data, unsafe.StringData(got)) {
		t.Error("what others will write over was taken")
	}
	taken[[]int](t, nil, 0)
	taken(t, []int{}, 0)
	taken(t, map[string][]byte{"large": make([]byte, Large)}, 0)
	taken(t, [][]byte{make([]byte, Large), nil}, 0)
}

func TestTakeWrong(t *testing.T) {
	v := []uint32{9}
	for _, data := range [][]byte{make([]byte, Large+4), bytes.Repeat([]byte{1}, Large+2)} {
		if err := codecFor[[]uint32](t).Take(data, &v); err == nil || v[0] != 9 {
			t.Errorf("%d bytes are %d numbers (%v)", len(data), len(v), err)
		}
	}
}

// Take returns the same values as Decode.
func TestTakeIsDecode(t *testing.T) {
	c := codecFor[[]uint16](t)
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		data := make([]byte, Large+random.IntN(5))
		for i := range 20 {
			data[len(data)-1-i] = byte(random.IntN(3))
		}
		var a, b []uint16
		errA, errB := c.Decode(data, &a), c.Take(data, &b)
		if (errA == nil) != (errB == nil) || !reflect.DeepEqual(a, b) {
			t.Fatalf("% x: %v, %v", data[len(data)-20:], errA, errB)
		}
	}
}
