package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
)

// Types that may be sent in interfaces. They are registered here because that must happen before
// the first use of the CBOR modes.
type (
	shape interface{ Area() float64 }

	square  struct{ Side float64 }
	circle  struct{ R float64 } // as *circle
	celsius float64
	names   []string
	scores  map[string]int
	nanMap  map[float64]any
	nested  struct {
		Any   any
		List  []any
		Shape shape
	}
	secretive struct { // registered, but cannot be sent
		Public string
		hidden string
	}
	token struct{ raw []byte } // registered, with a form of its own
)

func (s square) Area() float64  { return s.Side * s.Side }
func (c *circle) Area() float64 { return math.Pi * c.R * c.R }
func (c celsius) Area() float64 { return float64(c) }

func (k token) MarshalBinary() ([]byte, error)     { return k.raw, nil }
func (k *token) UnmarshalBinary(data []byte) error { k.raw = bytes.Clone(data); return nil }

func init() {
	for _, t := range []reflect.Type{
		reflect.TypeFor[square](), reflect.TypeFor[*circle](), reflect.TypeFor[celsius](), reflect.TypeFor[names](),
		reflect.TypeFor[scores](), reflect.TypeFor[nanMap](), reflect.TypeFor[*nested](), reflect.TypeFor[secretive](), reflect.TypeFor[token](),
		reflect.TypeFor[event](), reflect.TypeFor[stamped](),
	} {
		if err := Register(t); err != nil {
			panic(err)
		}
	}
}

func codecFor[T any](t testing.TB) *Type[T] {
	t.Helper()
	c, err := For[T]()
	if err != nil {
		t.Fatalf("For[%v]: %v", reflect.TypeFor[T](), err)
	}
	return c
}

// roundTrip encodes v after other bytes, decodes it, and then overwrites the encoding, to which the
// decoded value must not refer.
func roundTrip[T any](t testing.TB, v T) (got T) {
	t.Helper()
	c := codecFor[T](t)
	prefix := []byte("prefix")
	data, err := c.Append(bytes.Clone(prefix), &v)
	if err != nil {
		t.Fatalf("encoding %T %+v: %v", v, v, err)
	}
	if !bytes.HasPrefix(data, prefix) {
		t.Fatalf("encoding %T overwrote what was in the buffer", v)
	}

	data = data[len(prefix):]
	if err := c.Decode(data, &got); err != nil {
		t.Fatalf("decoding %T from % x: %v", v, data, err)
	}

	for i := range data {
		data[i] ^= 0xff
	}
	return got
}

func same[T any](t *testing.T, values ...T) {
	t.Helper()
	for _, v := range values {
		if got := roundTrip(t, v); !reflect.DeepEqual(got, v) {
			t.Errorf("%T: %#v arrived as %#v", v, v, got)
		}
	}
}

type (
	myBytes   []byte
	myByte    byte
	myString  string
	myBool    bool
	myInt     int
	myFloats  []float32
	myArray   [3]uint16
	plainPair struct {
		A int8
		B uint64
	}
)

func TestNumbersTravel(t *testing.T) {
	same(t, 0, -1, math.MaxInt, math.MinInt)
	same[int8](t, math.MinInt8, math.MaxInt8)
	same[int16](t, math.MinInt16, math.MaxInt16)
	same[int32](t, math.MinInt32, math.MaxInt32)
	same[int64](t, math.MinInt64, math.MaxInt64)

	same[uint](t, 0, math.MaxUint)
	same[uint8](t, 0, math.MaxUint8)
	same[uint16](t, math.MaxUint16)
	same[uint32](t, math.MaxUint32)
	same[uint64](t, math.MaxUint64)

	same[float32](t, 0, math.MaxFloat32, math.SmallestNonzeroFloat32, float32(math.Inf(-1)))
	same(t, math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(1), -0.1)
	same(t, complex(1, -2), complex(math.Inf(1), 0))
	same[complex64](t, complex(1, -2))

	same(t, true, false)
	same[myBool](t, true, false)
	same[myInt](t, -7)
	same(t, plainPair{-1, math.MaxUint64})
	same(t, [0]int{})
	same(t, [3]plainPair{{1, 2}, {3, 4}})
	same(t, myArray{1, 2, 3})
	same(t, struct{}{})
	same(t, struct {
		_ [7]byte
		A int
	}{A: 3})
}

// Values that do not equal themselves are compared by their bits.
func TestFloatBitsTravel(t *testing.T) {
	odd := math.Float64frombits(0x7ff8_0000_dead_beef)
	negZero := math.Copysign(0, -1)
	type in struct {
		F    float64
		Name string // so that it is not a plain struct
	}

	for _, f := range []float64{math.NaN(), odd, negZero, -math.NaN()} {
		want := math.Float64bits(f)
		if got := math.Float64bits(roundTrip(t, f)); got != want {
			t.Errorf("alone: %x arrived as %x", want, got)
		}
		if got := math.Float64bits(roundTrip(t, []float64{f})[0]); got != want {
			t.Errorf("in a slice: %x arrived as %x", want, got)
		}
		if got := math.Float64bits(roundTrip(t, in{F: f}).F); got != want {
			t.Errorf("in a struct: %x arrived as %x", want, got)
		}
		if got := math.Float64bits(roundTrip[any](t, f).(float64)); got != want {
			t.Errorf("in any: %x arrived as %x", want, got)
		}
	}

	f32 := math.Float32frombits(0x7fc0_beef)
	if got := math.Float32bits(roundTrip[any](t, f32).(float32)); got != 0x7fc0_beef {
		t.Errorf("float32 in any: %x", got)
	}
	if m := roundTrip(t, map[float64]string{math.NaN(): "a", 1: "b"}); len(m) != 2 || m[1] != "b" {
		t.Errorf("a map with a NaN key: %v", m)
	}
}

func TestStringsTravel(t *testing.T) {
	bad := "\xff\x00\xc3\x28 \xed\xa0\x80"
	same(t, "", "ü", bad, strings.Repeat("x", 1<<20))
	same[myString](t, "", myString(bad))
	same(t, []string{}, []string{"", bad}, nil)
	same(t, map[string]string{bad: bad, "": ""}, map[string]string{}, nil)
	same(t, map[myString]myString{myString(bad): myString(bad)})
	same(t, struct{ S, T string }{bad, ""})
	same[any](t, bad, "")
}

func TestNilAndEmptySlices(t *testing.T) {
	same(t, []byte{}, nil, []byte{0, 255})
	same(t, myBytes{}, nil, myBytes{1})
	same(t, []myByte{}, nil, []myByte{1})
	same(t, []int{}, nil, []int{1, -1})
	same(t, myFloats{}, nil, myFloats{1.5})
	same(t, []plainPair{}, nil, []plainPair{{1, 2}})
	same(t, []bool{}, nil, []bool{true, false})
	same(t, [][]int{}, nil, [][]int{nil, {}, {1}})
	same(t, [][]byte{nil, {}, {1}}, nil)
	same(t, map[int][]string{1: nil, 2: {}, 3: {"a"}}, map[int][]string{}, nil)
	same(t, []map[string]int{nil, {}, {"a": 1}})
	same(t, []struct{}{}, nil, make([]struct{}, 3))
	same(t, [][0]int{}, nil, make([][0]int, 2))
	same(t, [2][]string{nil, {}})
}

func TestByteArraysTravel(t *testing.T) {
	type in struct {
		Name   string
		ID     [16]byte
		Mine   [4]myByte
		Bytes  myBytes
		List   []myByte
		Deep   [][4]byte
		ByID   map[string][2]byte
		Ptr    *[3]byte
		Floats myFloats
	}
	same(t, [16]byte{1, 2, 255})
	same(t, in{Name: "n", ID: [16]byte{15: 9}, Mine: [4]myByte{1, 2, 3, 4}, Bytes: myBytes{1}, List: []myByte{7, 8}, Deep: [][4]byte{{1}, {2}},
		ByID: map[string][2]byte{"a": {1, 2}}, Ptr: &[3]byte{3}, Floats: myFloats{0.5}}, in{Bytes: myBytes{}, List: []myByte{}})
	same(t, map[string]myBytes{"nil": nil, "empty": {}, "x": {0}})
}

type (
	Base struct {
		ID   int
		Note string
	}
	Deeper struct {
		Base
		Depth int
	}
	inner struct {
		Open string
		Any  any
	}
	withInner struct {
		inner
		Name string
	}
	tree struct {
		Name string
		Kids []*tree
		By   map[string]tree
	}
	optional struct {
		I *int
		S *string
		B *Base
		T *time.Time
		P *plainPair
		E *struct{}
	}
	tagged struct {
		A int    `json:"b"`
		B string `json:"a,omitempty"`
		C *int   `cbor:"7,keyasint,omitempty"`
		D bool   `json:",omitempty"`
	}
	row struct {
		_ struct{} `cbor:",toarray"`
		A string
		B []int
	}
)

func TestStructsTravel(t *testing.T) {
	one, s := 1, ""
	same(t, Base{1, "x"})
	same(t, Deeper{Base{1, "x"}, 2})
	same(t, struct {
		plainPair
		C int
	}{plainPair{1, 2}, 3})

	same(t, withInner{inner{"o", nil}, "n"}, withInner{inner{"o", int8(3)}, "n"}, withInner{inner{"o", []any{uint16(1)}}, "n"})
	same(t, []withInner{{inner{"o", int8(3)}, "n"}})
	same(t, optional{}, optional{&one, &s, &Base{}, new(time.Unix(1, 2).UTC()), &plainPair{}, &struct{}{}})
	same(t, tagged{}, tagged{1, "b", &one, true})
	same(t, row{A: "a", B: []int{1}}, row{})
	same(t, tree{"r", []*tree{{Name: "a"}, nil, {Name: "b", Kids: []*tree{}}}, map[string]tree{"x": {Name: "y"}}})
	same(t, &tree{Name: "p"}, nil)
	same(t, &Base{}, nil)
	same(t, &struct{}{}, nil)
	same(t, []*int{&one, nil})
	same(t, map[bool]map[int8]float32{true: {1: 2}, false: nil})
	same(t, map[float32]string{1.5: "x"})
	same(t, struct{ Case, CASE, CaSe string }{"a", "b", "c"})
}

func TestPointersToNil(t *testing.T) {
	// Without wrapping, these would become nil pointers.
	var ip *int
	var sl []string
	var m map[string]int
	var a any
	type in struct {
		PP *(*int)
		PS *[]string
		PM *map[string]int
		PA *any
	}

	sameOrError(t, &ip)
	sameOrError(t, &sl)
	sameOrError(t, &m)
	sameOrError(t, &a)
	sameOrError(t, in{PP: &ip})
	sameOrError(t, in{PS: &sl})
	sameOrError(t, in{PM: &m})
	sameOrError(t, in{PA: &a})
	sameOrError(t, []*[]string{&sl})
	sameOrError(t, map[string]*[]byte{"a": new([]byte)})
	sameOrError(t, &time.Time{})
	sameOrError(t, []*time.Time{{}})
	one := 1
	pi := &one
	full := []string{}
	same(t, in{PP: &pi, PS: &full, PM: &map[string]int{}})
	same(t, in{})
}

// sameOrError checks that a value arrives equal, or is rejected by For or Append.
func sameOrError[T any](t *testing.T, v T) {
	t.Helper()
	c, err := For[T]()
	if err != nil {
		return
	}

	data, err := c.Append(nil, &v)
	if err != nil {
		return
	}
	var got T
	if err := c.Decode(data, &got); err != nil {
		t.Errorf("%T: encoded without an error, but not decoded: %v", v, err)
		return
	}
	if !reflect.DeepEqual(got, v) {
		t.Errorf("%T: %#v arrived as %#v without an error", v, v, got)
	}
}

// sameTime reports whether a and b are the same time in the same zone, and in the same zone on
// other days too.
func sameTime(a, b time.Time) bool {
	az, ao := a.Zone()
	bz, bo := b.Zone()
	a, b = a.Round(0), b.Round(0) // without monotonic clock readings
	half := 182 * 24 * time.Hour
	return a.Equal(b) && az == bz && ao == bo && a.Location().String() == b.Location().String() &&
		a.AddDate(0, 6, 0).Equal(b.AddDate(0, 6, 0)) && a.Add(half).String() == b.Add(half).String()
}

func location(t testing.TB, name string) *time.Location {
	t.Helper()
	l, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// variousTimes returns times in all kinds of zones, in summer and in winter, and from the ends of
// the calendar.
func variousTimes(t testing.TB) []time.Time {
	ny, lord := location(t, "America/New_York"), location(t, "Australia/Lord_Howe")
	return []time.Time{
		{},
		time.Time{}.In(ny),
		time.Unix(0, 1).UTC(),
		time.Date(2024, 2, 29, 23, 59, 59, 999999999, time.UTC),
		time.Date(2024, 6, 1, 12, 0, 0, 123456789, time.FixedZone("CEST", 7200)),
		time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC),
		time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2000, 1, 1, 0, 0, 0, 0, time.FixedZone("", 23*3600+59*60)),
		time.Date(2000, 1, 1, 0, 0, 0, 0, time.FixedZone("", -23*3600-59*60)),
		time.Date(2000, 1, 1, 0, 0, 0, 0, time.FixedZone("", 0)),
		time.Date(2000, 1, 1, 0, 0, 0, 0, time.FixedZone("UTC", 0)),
		time.Date(2000, 1, 1, 0, 0, 0, 0, time.FixedZone("America/New_York", -5*3600)),
		time.Date(2000, 1, 1, 0, 0, 0, 0, time.FixedZone("Europe/Berlin", 1)),
		time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC),
		time.Date(2024, 10, 30, 9, 0, 0, 0, ny),
		time.Date(2024, 7, 1, 9, 0, 0, 0, ny),
		time.Date(2024, 11, 3, 1, 30, 0, 0, ny).Add(time.Hour), // the second half past one
		time.Date(1850, 1, 1, 0, 0, 0, 0, ny),
		time.Date(2024, 7, 1, 0, 0, 0, 0, lord), // 10:30 and 11 hours
		time.Date(2024, 7, 1, 0, 0, 0, 0, location(t, "Asia/Kathmandu")),
		time.Date(2024, 7, 1, 0, 0, 0, 0, location(t, "Etc/GMT+5")),
		time.Date(2024, 7, 1, 0, 0, 0, 0, location(t, "UTC")),
		time.Now(),
		time.Now().UTC(),
		time.Unix(1720000000, 0),
		// RFC 3339 cannot express these times.
		time.Date(1930, 1, 1, 0, 0, 0, 0, time.FixedZone("AMT", 1172)), // Amsterdam until 1937
		time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2000, 1, 1, 0, 0, 0, 0, time.FixedZone("far", 30*3600)),
		time.Date(2000, 1, 1, 0, 0, 0, 0, time.FixedZone("west", -24*3600)),
	}
}

type (
	stamped   struct{ time.Time } // has the methods of a time
	restamped struct{ stamped }
	event     struct { // registered
		Name string
		At   time.Time
		Ends *time.Time
	}
)

func TestTimesTravel(t *testing.T) {
	type in struct {
		At   time.Time
		Name string
		Next *in
	}

	for _, at := range variousTimes(t) {
		for where, got := range map[string]time.Time{
			"alone":                roundTrip(t, at),
			"behind a pointer":     *roundTrip(t, &at),
			"in a struct":          roundTrip(t, in{At: at}).At,
			"deep in structs":      roundTrip(t, in{Next: &in{Next: &in{At: at}}}).Next.Next.At,
			"in a slice":           roundTrip(t, []time.Time{{}, at})[1],
			"in an array":          roundTrip(t, [2]*time.Time{nil, &at})[1].UTC().In(roundTrip(t, [1]time.Time{at})[0].Location()),
			"in a map":             roundTrip(t, map[string]time.Time{"k": at})["k"],
			"in a map by a NaN":    onlyValue(roundTrip(t, map[float64]time.Time{math.NaN(): at})),
			"in any":               roundTrip[any](t, at).(time.Time),
			"deep in any":          roundTrip(t, []any{map[string]any{"k": at}})[0].(map[string]any)["k"].(time.Time),
			"in a registered type": roundTrip[any](t, event{At: at}).(event).At,
			"behind its pointer":   *roundTrip(t, []any{event{Ends: &at}})[0].(event).Ends,
			"embedded":             roundTrip(t, stamped{at}).Time,
			"embedded twice":       roundTrip(t, restamped{stamped{at}}).Time,
			"embedded in a slice":  roundTrip(t, []restamped{{stamped{at}}})[0].Time,
			"embedded, in any":     roundTrip[any](t, stamped{at}).(stamped).Time,
			"behind two pointers":  **roundTrip(t, new(&at)),
		} {
			if !sameTime(got, at) {
				t.Errorf("%s: %v in %v arrived as %v in %v", where, at, at.Location(), got, got.Location())
			}
		}
	}
}

func onlyValue[K comparable, V any](m map[K]V) (v V) {
	for _, v = range m {
	}
	return v
}

// A time in UTC arrives as the same value, and times in one zone are equal by ==.
func TestTimesCompare(t *testing.T) {
	at := time.Date(2024, 7, 1, 0, 0, 0, 0, time.UTC)
	if got := roundTrip(t, at); got != at {
		t.Errorf("%#v arrived as %#v", at, got)
	}
	if got := roundTrip(t, time.Time{}); got != (time.Time{}) {
		t.Errorf("the zero time arrived as %#v", got)
	}
	now := time.Now()
	if got := roundTrip(t, now); got != now.Round(0) {
		t.Errorf("%v arrived as %v: it keeps its location, and loses its monotonic clock reading", now, got)
	}

	for _, l := range []*time.Location{location(t, "America/New_York"), time.FixedZone("x", 77)} {
		if a, b := roundTrip(t, at.In(l)), roundTrip(t, []time.Time{at.In(l)})[0]; a != b {
			t.Errorf("%v arrived as two values", a)
		}
	}
}

// Another process's Local may be a different zone.
func TestLocalOfOthers(t *testing.T) {
	summer := time.Date(2024, 7, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct{ theirs, ours, want string }{
		{"America/New_York", "America/New_York", "America/New_York"},
		{"America/New_York", "Europe/Paris", "America/New_York"},
		{"Local", "Europe/Paris", "EDT"},
	} {
		name, ours := c.theirs, location(t, c.ours)
		sent := summer.In(location(t, "America/New_York"))
		zone, offset := sent.Zone()
		if got := inZoneFor(ours, sent, name, zone, offset); got.Location().String() != c.want || got.String() != sent.String() {
			t.Errorf("%v of a local zone %s arrived where that is %s as %v in %v", sent, name, c.ours, got, got.Location())
		}
	}
}

func inZoneFor(local *time.Location, t time.Time, location, zone string, offset int) time.Time {
	defer func(l *time.Location) { time.Local = l }(time.Local)
	time.Local = local
	return inZone(t.UTC(), zoneLocal, location, zone, offset)
}

// A time whose location is unknown here, or has different rules here, arrives with the zone's name
// and its offset at that time.
func TestUnknownLocations(t *testing.T) {
	at := time.Date(2024, 7, 1, 12, 0, 0, 0, time.UTC)
	for _, name := range []string{"Nowhere/Land", "../../etc/passwd", "America/New_York", "Local", "", strings.Repeat("x", 1<<16)} {
		got := inZone(at, zoneNamed, name, "ABC", 4711)
		if zone, offset := got.Zone(); !got.Equal(at) || zone != "ABC" || offset != 4711 {
			t.Errorf("%.20s: arrived as %v", name, got)
		}
	}
	if n := 3 * maxZones; func() bool {
		for i := range n {
			inZone(at, zoneNamed, fmt.Sprint("No/", i), fmt.Sprint(i), i)
		}
		return len(zones.byName) > maxZones || len(zones.byShift) > maxZones
	}() {
		t.Errorf("%d and %d zones are kept", len(zones.byName), len(zones.byShift))
	}
}

func TestAnyKeepsTypes(t *testing.T) {
	same[any](t, nil, true, 1, -1, int8(1), int16(1), int32(1), int64(math.MinInt64), uint(1), uint8(1), uint16(1), uint32(1),
		uint64(math.MaxUint64), float32(1.5), 1.5, "s", []byte{1}, []byte{}, []any{}, []any{1, nil, int8(2)}, map[string]any{},
		map[string]any{"a": 1, "b": []any{uint8(1), map[string]any{"c": float32(2)}}})
	same(t, []any{1, int64(1), uint(1), nil, "x"}, []any{}, nil)
	same(t, map[string]any{"a": uint64(1), "n": nil}, map[string]any{}, nil)
	same(t, map[int]any{1: int16(2), -1: nil})
	same(t, [2]any{1, uint8(2)})
	x := any(int32(5))
	same(t, &x)
	same(t, struct{ A, B any }{1, []any{uint(2)}})
	same(t, struct{ P *any }{&x})
	same(t, nanMap{1: int8(2)})
}

func TestTypedNilsInAny(t *testing.T) {
	sameOrError[any](t, []byte(nil))
	sameOrError[any](t, []any(nil))
	sameOrError[any](t, map[string]any(nil))
	sameOrError[any](t, names(nil))
	sameOrError[any](t, scores(nil))
	sameOrError[any](t, (*circle)(nil))
	sameOrError(t, []any{[]any(nil), (*circle)(nil)})
	sameOrError[shape](t, (*circle)(nil))
	sameOrError(t, []shape{(*circle)(nil), nil, square{1}})
	sameOrError(t, map[string]any{"a": names(nil), "b": map[string]any(nil)})
}

func TestRegisteredTypesTravel(t *testing.T) {
	same[any](t, square{2}, &circle{3}, celsius(36.6), names{"a"}, names{}, scores{"a": 1}, scores{}, token{[]byte{1, 2}})
	same[shape](t, nil, square{2}, &circle{3}, celsius(1))
	same(t, []shape{square{1}, &circle{2}, nil, celsius(3)}, []shape{}, nil)
	same(t, map[string]shape{"a": &circle{1}, "b": nil, "c": square{2}})
	same[any](t, &nested{Any: int8(1), List: []any{square{1}, &circle{2}, uint16(3)}, Shape: &circle{4}})
	same(t, nested{Any: &nested{Any: &nested{Any: celsius(1), Shape: square{1}}}})
	same(t, square{2}, square{}) // the type is known, so there is no interface
	same(t, &circle{2}, nil)
	same(t, []square{{1}, {2}})
	same(t, struct {
		S square
		C *circle
		N names
		K token
	}{square{1}, &circle{2}, names{"x"}, token{[]byte{1}}})

	same(t, map[string]any{"l": []any{square{1}, names{"b"}, scores{"c": 2}}})
}

func TestAnyRefuses(t *testing.T) {
	type local struct{ A int }
	cyclicNest := &nested{}
	cyclicNest.Any = cyclicNest
	for _, v := range []any{
		local{1}, &local{1}, []int{1}, map[string]int{}, circle{1}, &square{1}, (*square)(nil), complex(1, 2), uintptr(1), func() {}, make(chan int),
		errors.New("x"), struct{}{}, new(int), map[any]any{}, []string{"a"}, time.Second, big.NewInt(1), &[]any{},
		secretive{"a", "b"}, []any{secretive{"a", "b"}}, cyclicNest,
	} {
		c := codecFor[any](t)
		if data, err := c.Append(nil, &v); err == nil {
			var got any
			err := c.Decode(data, &got)
			t.Errorf("%T in any was encoded and arrived as %#v, %v", v, got, err)
		}
	}
}

type (
	appender struct{ v uint16 } // AppendBinary alone
	marsh    struct{ v uint16 } // MarshalBinary
	texter   struct{ v string } // MarshalText
	textNum  struct{ v int }    // MarshalText, of numbers
	textEnum int
	cborist  struct{ v string }
	uuid     [16]byte
)

func (a appender) AppendBinary(b []byte) ([]byte, error) {
	return binary.LittleEndian.AppendUint16(b, a.v), nil
}
func (a *appender) UnmarshalBinary(b []byte) error { a.v = binary.LittleEndian.Uint16(b); return nil }

func (m *marsh) MarshalBinary() ([]byte, error) {
	return binary.LittleEndian.AppendUint16(nil, m.v), nil
}
func (m *marsh) UnmarshalBinary(b []byte) error { m.v = binary.LittleEndian.Uint16(b); return nil }

func (x texter) MarshalText() ([]byte, error)  { return []byte("<" + x.v + ">"), nil }
func (x *texter) UnmarshalText(b []byte) error { x.v = string(b[1 : len(b)-1]); return nil }

func (x textNum) MarshalText() ([]byte, error)  { return fmt.Append(nil, x.v), nil }
func (x *textNum) UnmarshalText(b []byte) error { _, err := fmt.Sscan(string(b), &x.v); return err }

func (x textEnum) MarshalText() ([]byte, error)  { return []byte{'a' + byte(x)}, nil }
func (x *textEnum) UnmarshalText(b []byte) error { *x = textEnum(b[0] - 'a'); return nil }

func (x cborist) MarshalCBOR() ([]byte, error) {
	return append([]byte{0x60 + byte(len(x.v))}, x.v...), nil
}
func (x *cborist) UnmarshalCBOR(b []byte) error { x.v = string(b[1:]); return nil }

func (u uuid) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%x", u[:]), nil }
func (u *uuid) UnmarshalText(b []byte) error {
	var s []byte
	if _, err := fmt.Sscanf(string(b), "%x", &s); err != nil {
		return err
	}
	copy(u[:], s)
	return nil
}

func TestOwnFormsTravel(t *testing.T) {
	same(t, appender{1}, appender{})
	same(t, marsh{1}, marsh{})
	same(t, texter{"x"}, texter{})
	same(t, textNum{-5}, textNum{})
	same(t, textEnum(3), textEnum(0))
	same(t, cborist{"abc"}, cborist{})
	same(t, uuid{1, 15: 2})
	type in struct {
		M  marsh
		PM *marsh
		X  texter
		PX *texter
		N  textNum
		E  []textEnum
		C  cborist
		U  uuid
		MM map[string]marsh
		L  [2]marsh
	}

	same(t, in{M: marsh{1}, PM: &marsh{2}, X: texter{"a"}, PX: &texter{"b"}, N: textNum{3}, E: []textEnum{1, 2}, C: cborist{"c"},
		U: uuid{9}, MM: map[string]marsh{"k": {4}}, L: [2]marsh{{5}, {6}}}, in{})
	same(t, &marsh{1}, nil)
	same(t, []*marsh{{1}, nil})
	same(t, []marsh{{1}, {2}})
	same(t, map[texter]int{{"a"}: 1, {""}: 2})
	same(t, map[uuid]string{{1}: "a"})
	same(t, map[textEnum]string{1: "a", 2: "b"})
	same(t, struct{ A, B any }{nil, token{[]byte("x")}})

	same(t, netip.MustParseAddr("fe80::1%eth0"), netip.Addr{}, netip.MustParseAddr("10.0.0.1"))
	same(t, map[netip.Addr][]string{netip.MustParseAddr("::1"): {"a"}, {}: nil})
	same(t, []netip.AddrPort{netip.MustParseAddrPort("1.2.3.4:5"), {}})
	same(t, struct{ P *netip.Prefix }{new(netip.MustParsePrefix("10.0.0.0/8"))})
	u, _ := url.Parse("https://u:p@host:1/a%2fb?q=1#f")
	same(t, *u, url.URL{})
	same(t, u, nil)
	same(t, struct {
		U url.URL
		P *url.URL
	}{*u, u})

	huge := new(big.Int).Lsh(big.NewInt(1), 1000)
	for _, b := range []*big.Int{big.NewInt(0), big.NewInt(-1), huge, new(big.Int).Neg(huge)} {
		if got := roundTrip(t, *b); got.Cmp(b) != 0 {
			t.Errorf("%v arrived as %v", b, &got)
		}
		if got := roundTrip(t, struct{ N *big.Int }{b}).N; got == nil || got.Cmp(b) != 0 {
			t.Errorf("%v arrived as %v", b, got)
		}
	}
}

// A type with only one half of a form must not arrive changed.
type (
	masked    string // MarshalText alone, as for logs
	lowered   string // UnmarshalText alone
	halfBin   struct{ A int }
	halfBytes []byte
	parsed    struct{ A, B string } // UnmarshalText alone, but not a string: harmless
)

func (masked) MarshalText() ([]byte, error)       { return []byte("***"), nil }
func (l *lowered) UnmarshalText(b []byte) error   { *l = lowered(strings.ToLower(string(b))); return nil }
func (halfBin) MarshalBinary() ([]byte, error)    { return []byte("x"), nil }
func (h *halfBytes) UnmarshalBinary([]byte) error { *h = nil; return nil }
func (p *parsed) UnmarshalText([]byte) error      { *p = parsed{}; return nil }

func TestHalfAFormChangesNothing(t *testing.T) {
	sameOrError(t, masked("secret"))
	sameOrError(t, []masked{"secret"})
	sameOrError(t, map[masked]int{"secret": 1})
	sameOrError(t, struct{ M masked }{"secret"})
	sameOrError(t, lowered("ABC"))
	sameOrError(t, []lowered{"ABC"})
	sameOrError(t, map[lowered]int{"ABC": 1})
	sameOrError(t, halfBin{1})
	sameOrError(t, []halfBin{{1}, {2}})
	sameOrError(t, struct {
		H halfBin
		S string
	}{halfBin{1}, "s"})

	sameOrError(t, halfBytes{1})
	sameOrError(t, map[string]halfBytes{"a": {1}})
	same(t, parsed{"a", "b"})
	same(t, []parsed{{"a", "b"}})
}

// A form that an embedded field provides does not know the other fields.
func TestPromotedForm(t *testing.T) {
	type named struct {
		time.Time
		Name string
	}
	sameOrError(t, named{time.Unix(5, 0).UTC(), "n"})
	sameOrError(t, []named{{time.Unix(5, 0).UTC(), "n"}})
	sameOrError(t, struct {
		netip.Addr
		Port int
	}{netip.MustParseAddr("::1"), 80})
	sameOrError(t, struct {
		*marsh
		Name string
	}{&marsh{1}, "x"})
	same(t, struct{ netip.Addr }{netip.MustParseAddr("::1")})
}

func TestLargeValues(t *testing.T) {
	same(t, bytes.Repeat([]byte{1, 2, 3}, 1<<20))
	long := make([]string, 100_000)
	for i := range long {
		long[i] = fmt.Sprint(i)
	}

	same(t, long)
	m := map[int]string{}
	for i := range 50_000 {
		m[i] = "v"
	}

	same(t, m)
	deep := any(int8(1))
	for range 4000 {
		deep = []any{deep}
	}
	same(t, deep)
	var list *tree
	for range 1000 {
		list = &tree{Kids: []*tree{list}}
	}
	same(t, list)
}
