package codec

import (
	"bytes"
	"math"
	"net/netip"
	"testing"
	"time"
	"unsafe"
)

type (
	pair struct{ X, Y int }
	cell struct {
		At   pair
		Name string
		On   bool
	}
	place struct {
		pair
		Host netip.Addr
	}
	loose struct {
		Kind shape
		Any  any
	}
	moment struct {
		time.Time
	}
	visit struct {
		When time.Time
		Cell cell
	}
	padded struct {
		A int8
		_ int8
		B int64
	}
)

func TestKeysTravel(t *testing.T) {
	same(t, map[pair]int{{1, 2}: 3, {}: 4}, map[pair]int{}, nil)
	same(t, map[[32]byte]string{{1, 31: 2}: "a", {}: "b"})
	same(t, map[[2]pair][]string{{{1, 2}, {3, 4}}: {"a"}, {}: nil})
	same(t, map[[0]int]int{{}: 1})
	same(t, map[struct{}]bool{{}: true})
	same(t, map[cell]*cell{{pair{1, 2}, "n", true}: {Name: "x"}, {}: nil})
	same(t, map[[2]cell]map[pair]int{{{Name: "a"}, {}}: {{1, 2}: 3}})
	same(t, map[myArray]int{{1, 2, 3}: 4})
	same(t, map[[2]myString]myBool{{"a", "b"}: true})
	same(t, map[[1]uuid]int{{{1}}: 2})
	same(t, map[padded]int{{A: 1, B: 2}: 3})
	same(t, map[place]int{{pair{1, 2}, netip.MustParseAddr("::1")}: 3})
	same(t, map[struct{ A, B float64 }]int{{1, -2.5}: 1})
	same(t, map[struct{ F [2]float32 }]int{{[2]float32{1, 2}}: 1})
	same(t, struct{ M map[pair]map[[2]string]any }{map[pair]map[[2]string]any{{1, 2}: {{"a", "b"}: int8(3)}}})
	same(t, []map[pair]string{{{1, 2}: "a"}, nil})
	same[any](t, map[string]any{"a": 1})

	same(t, map[any]int{1: 1, int8(1): 2, "1": 3, 1.5: 4, true: 5, nil: 6, square{2}: 7, celsius(1): 8})
	same(t, map[shape]string{square{1}: "a", celsius(2): "b", nil: "c"})
	same(t, map[loose]int{{square{1}, "x"}: 1, {nil, celsius(1)}: 2, {}: 3})
	same(t, map[[2]any]int{{1, nil}: 1, {"a", int16(2)}: 2})

	if m := roundTrip(t, map[struct{ F float64 }]int{{math.NaN()}: 1, {math.NaN()}: 1}); len(m) != 2 {
		t.Errorf("two keys with NaN arrived as %v", m)
	}
}

func TestTimesAsKeysTravel(t *testing.T) {
	for _, at := range variousTimes(t) {
		for m := range roundTrip(t, map[time.Time]int{at: 1}) {
			if !sameTime(m, at) {
				t.Errorf("%v arrived as %v", at, m)
			}
		}
		for m := range roundTrip(t, map[visit]int{{When: at}: 1}) {
			if !sameTime(m.When, at) {
				t.Errorf("in a struct: %v arrived as %v", at, m)
			}
		}

		for m := range roundTrip(t, map[[2]moment]int{{1: {at}}: 1}) {
			if !sameTime(m[1].Time, at) {
				t.Errorf("embedded: %v arrived as %v", at, m)
			}
		}
		for m := range roundTrip(t, map[any]int{at: 1}) {
			if !sameTime(m.(time.Time), at) {
				t.Errorf("in any: %v arrived as %v", at, m)
			}
		}
	}

	// One time in several zones is several keys.
	at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	m := map[time.Time]string{at: "utc", at.In(location(t, "Europe/London")): "london", at.In(time.FixedZone("GMT", 0)): "gmt"}
	if got := roundTrip(t, m); len(got) != 3 || got[at] != "utc" {
		t.Errorf("%v arrived as %v", m, got)
	}
}

// Sending keys that differ here but would be equal in the receiver is an error.
func TestKeysThatWouldMeet(t *testing.T) {
	now := time.Now()
	c := codecFor[map[time.Time]int](t)
	m := map[time.Time]int{now: 1, now.Round(0): 2}
	data, err := c.Append(nil, &m)
	if err == nil {
		err = c.Decode(data, &m)
	}
	if err == nil {
		t.Errorf("keys with and without a monotonic clock reading arrived as %v", m)
	}

	p := &circle{1}
	pointers := map[any]int{p: 1}
	if _, err := codecFor[map[any]int](t).Append(nil, &pointers); err == nil {
		t.Error("a pointer is a key")
	}

	nested := map[loose]int{{Kind: p}: 1}
	if _, err := codecFor[map[loose]int](t).Append(nil, &nested); err == nil {
		t.Error("a pointer is in a key")
	}
}

// The memory between the fields of equal keys may differ.
func TestKeysAreCompared(t *testing.T) {
	c, err := ForKey[padded]()
	if err != nil {
		t.Fatal(err)
	}

	var a, b padded
	for i := range unsafe.Sizeof(a) {
		*(*byte)(unsafe.Add(unsafe.Pointer(&a), i)) = 0xff
	}

	a.A, a.B, b.A, b.B = 1, 2, 1, 2
	if a != b {
		t.Fatal("not equal")
	}
	da, _ := c.Append(nil, &a)
	db, _ := c.Append(nil, &b)
	if !bytes.Equal(da, db) {
		t.Errorf("equal keys are % x and % x", da, db)
	}
	var got padded
	if err := c.Decode(da, &got); err != nil || got != a {
		t.Errorf("arrived as %v, %v", got, err)
	}
}
