//lint:file-ignore SA5008,SA4000,U1000,S1040 these tests contain wrong code on purpose

package codec

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/netip"
	"reflect"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

type (
	hidden    struct{ Name, secret string }
	hiddenNum struct{ A, b int }
	Closer    interface{ Close() error }
	noForm    struct{ io.Reader }
	unexpPtr  struct{ Name string }
)

func refused[T any](t *testing.T, words ...string) {
	t.Helper()
	_, err := For[T]()
	if err == nil {
		t.Errorf("%v was admitted", reflect.TypeFor[T]())
		return
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %q", err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%v: %q is not in %q", reflect.TypeFor[T](), w, err)
		}
	}
}

func admitted[T any](t *testing.T) {
	t.Helper()
	if _, err := For[T](); err != nil {
		t.Errorf("%v: %v", reflect.TypeFor[T](), err)
	}
}

func TestForNamesWhatCannotTravel(t *testing.T) {
	refused[chan int](t, "chan")
	refused[func()](t, "func")
	refused[uintptr](t, "uintptr")
	refused[unsafe.Pointer](t, "unsafe.Pointer")
	refused[error](t, "error")
	refused[io.Reader](t, "io.Reader", "RegisterType")
	refused[[]chan int](t, "[]")
	refused[*func()](t, "func")
	refused[[0]chan int](t, "chan")
	refused[map[string]chan int](t, "chan")
	refused[map[*int]int](t, "[key]", "keys")
	refused[map[chan int]int](t, "[key]", "keys")
	refused[map[[2]*int]int](t, "[key]", "keys")
	refused[map[struct{ P *Base }]int](t, "[key].P", "keys")
	refused[map[hidden]int](t, "[key].secret", "unexported")
	refused[map[struct{ In [1]hiddenNum }]int](t, "In[].b", "unexported")
	refused[map[struct{ Base *Base }]int](t, "Base", "keys")
	refused[map[struct{ *Base }]int](t, "Base", "keys")
	refused[map[struct{ E error }]int](t, ".E", "error")
	refused[map[Closer]int](t, "[key]", "RegisterType")
	refused[map[complex128]int](t, "[key]", "keys")
	refused[map[uintptr]int](t, "[key]", "keys")
	refused[hidden](t, "hidden.secret", "unexported")
	refused[hiddenNum](t, "hiddenNum.b", "unexported")
	refused[[]hiddenNum](t, "b", "unexported")
	refused[[2]struct{ In hiddenNum }](t, "In.b")
	refused[*hidden](t, "secret")
	refused[map[string][]*hidden](t, "secret")
	refused[struct{ Do func() }](t, ".Do", "func")
	refused[struct{ C chan<- int }](t, ".C", "chan")
	refused[struct{ Err error }](t, ".Err", "error")
	refused[struct{ Errs []error }](t, ".Errs[]", "error")
	refused[struct{ M map[string]struct{ F func() } }](t, ".M[].F")
	refused[struct{ R io.Reader }](t, ".R", "io.Reader")
	refused[struct{ C Closer }](t, ".C", "RegisterType")
	refused[noForm](t, "Reader")
	refused[struct {
		C complex128
		S string
	}](t, ".C", "complex")
	refused[atomic.Int64](t, "unexported")
	refused[errors2](t, "error")

	refused[selfPtr](t, "pointer")
	refused[struct{ P []selfPtr }](t, ".P[]", "pointer")
	refused[map[string]*twoPtr](t, "pointer")

	type Loop struct {
		Next *Loop
		Bad  chan int
	}

	refused[Loop](t, ".Bad")
}

type errors2 interface {
	error
	Timeout() bool
}

func TestForNamesTagsThatLose(t *testing.T) {
	refused[struct {
		A string `json:"-"`
	}](t, ".A", "tag")
	refused[struct {
		A string `cbor:"-" json:"a"`
	}](t, ".A")
	refused[struct {
		A string `json:"-,omitempty"`
	}](t, ".A")
	refused[struct {
		A []string `json:",omitempty"`
	}](t, ".A", "omitempty")
	refused[struct {
		A map[string]int `json:"a,omitzero"`
	}](t, ".A", "omitzero")
	refused[struct {
		A []byte `cbor:"1,keyasint,omitempty"`
	}](t, ".A")
	refused[struct {
		A string
		B string `json:"A"`
	}](t, ".A", ".B", `"A"`)

	refused[struct {
		A string `cbor:"x"`
		B string `cbor:"x"`
	}](t, ".A", ".B", `"x"`)

	// Embedding: the outer name hides the inner one.
	refused[struct {
		Base
		ID string
	}](t, ".Base.ID", ".ID")

	refused[struct {
		Base
		Other struct{ ID string } `json:"Note"`
	}](t, ".Base.Note", ".Other")

	refused[struct {
		Base
		B struct{ Base } `json:"b"`
		Deeper
	}](t, "ID")

	refused[struct {
		*Base
		S string
	}](t, ".Base", "pointer")
	refused[struct {
		*unexpPtr
		S string
	}](t, ".unexpPtr")
	refused[struct {
		myString
		S []string
	}](t, ".myString")

	admitted[struct {
		A string `json:"a,omitempty"`
		B *int   `json:",omitempty"`
	}](t)
	admitted[struct {
		A []string `cbor:"A" json:"-"`
		_ chan int
	}](t)
	admitted[struct {
		A int `json:"-"`
	}](t) // copied as it is in memory
	admitted[struct {
		B Base `json:"base"`
		Base
	}](t)
}

func TestForAdmits(t *testing.T) {
	admitted[any](t)
	admitted[shape](t)
	admitted[map[string]any](t)
	admitted[json.Number](t)
	admitted[time.Duration](t)
	admitted[map[time.Duration][]time.Time](t)
	admitted[struct{ T time.Time }](t)
	admitted[map[netip.Addr]any](t)
	admitted[map[any]int](t)
	admitted[map[[2]int]int](t)
	admitted[map[Base]int](t)
	admitted[tree](t)
	admitted[[]struct {
		_ int
		A string
	}](t)
}

func TestForFindsFormsThatDoNotNest(t *testing.T) {
	admitted[appender](t)
	refused[[]appender](t, "AppendBinary", "MarshalBinary")
	refused[struct{ A appender }](t, ".A", "MarshalBinary")
	refused[map[string]*appender](t, "MarshalBinary")
	refused[map[appender]int](t, "[key]", "MarshalBinary")
	refused[[]masked](t, "UnmarshalText")
	refused[map[lowered]int](t, "[key]", "MarshalText")
	refused[struct {
		H halfBin
		S string
	}](t, ".H", "UnmarshalBinary")

	refused[struct {
		time.Time
		Name string
	}](t, "Time")

	refused[[]struct {
		Name string
		netip.Addr
	}](t, "Addr")
	refused[struct{ *marsh }](t, "marsh")
	admitted[struct{ time.Time }](t)
	admitted[struct {
		At   time.Time
		Name string
	}](t)
	admitted[ownOverEmbedded](t)
	admitted[[]ownOverEmbedded](t)
	admitted[ptrOverEmbedded](t)
}

// These types embed a form but have their own.
type (
	ownOverEmbedded struct {
		time.Time
		Name string
	}
	ptrOverEmbedded struct {
		*marsh
		Name string
	}
)

func (o ownOverEmbedded) MarshalBinary() ([]byte, error) {
	b, err := o.Time.MarshalBinary()
	return append(b, o.Name...), err
}

func (o *ownOverEmbedded) UnmarshalBinary(b []byte) error {
	o.Name = string(b[15:])
	return o.Time.UnmarshalBinary(b[:15])
}

func (p *ptrOverEmbedded) MarshalBinary() ([]byte, error) { return []byte(p.Name), nil }
func (p *ptrOverEmbedded) UnmarshalBinary(b []byte) error { p.Name = string(b); return nil }

func TestOwnFormOverEmbedded(t *testing.T) {
	v := ownOverEmbedded{time.Unix(1, 2).UTC(), "n"}
	same(t, v)
	same(t, []ownOverEmbedded{v})
	same(t, ptrOverEmbedded{Name: "x"})
}

func TestRegisterRefuses(t *testing.T) {
	for _, typ := range []reflect.Type{
		nil, reflect.TypeFor[any](), reflect.TypeFor[shape](), reflect.TypeFor[[]int](), reflect.TypeFor[struct{ A int }](),
		reflect.TypeFor[int](), reflect.TypeFor[string](), reflect.TypeFor[error](), reflect.TypeFor[**circle](), reflect.TypeFor[*int](),
		reflect.TypeFor[square](), reflect.TypeFor[*square](), reflect.TypeFor[circle](), reflect.TypeFor[time.Time](),
	} {
		if err := Register(typ); err == nil {
			t.Errorf("%v was registered", typ)
		}
	}
}

type (
	selfSlice []selfSlice
	selfMap   map[string]selfMap
	selfPtr   *selfPtr
	twoPtr    **twoPtr
	ring      struct {
		Name string
		Next *ring
	}
	anyRing struct{ Any any }
	mixed   struct {
		Kids map[string][]*mixed
		Any  any
	}
	withForm struct {
		Addr netip.Addr
		Next *withForm
	}
)

func cyclic[T any](t *testing.T, v T) {
	t.Helper()
	c := codecFor[T](t)
	out, err := c.Append([]byte("prefix"), &v)
	if !errors.Is(err, errTooDeep) {
		t.Errorf("%T: %v", v, err)
	}
	if string(out) != "prefix" {
		t.Errorf("%T: after an error the buffer holds %d bytes", v, len(out))
	}
}

func TestCyclicValuesAreErrors(t *testing.T) {
	p := &ring{}
	p.Next = &ring{Next: p}
	cyclic(t, p)
	cyclic(t, *p)
	cyclic(t, []*ring{p})
	cyclic(t, map[string]ring{"a": *p})

	s := make(selfSlice, 2)
	s[0], s[1] = s, s
	cyclic(t, s)
	m := selfMap{}
	m["m"] = m
	cyclic(t, m)

	l := make([]any, 2)
	l[0], l[1] = 1, l
	cyclic[any](t, l)
	cyclic(t, l)
	am := map[string]any{}
	am["x"] = []any{am}
	cyclic[any](t, am)
	cyclic(t, anyRing{l})
	n := &nested{}
	n.List = []any{n}
	cyclic[any](t, n)
	cyclic(t, n)
	mx := &mixed{}
	mx.Kids = map[string][]*mixed{"k": {mx}}
	cyclic(t, mx)
	w := &withForm{}
	w.Next = w
	cyclic(t, w)
	var self any
	self = &self
	c := codecFor[any](t)
	if _, err := c.Append(nil, &self); err == nil {
		t.Error("a pointer to the interface that holds it was encoded")
	}
}

// boom panics or fails in the method that its mode names.
type (
	boom     struct{ Mode string }
	boomText struct{ Mode string }
	boomZero struct{ p *int } // dereferences nil
)

func burst(mode string) error {
	switch mode {
	case "panic":
		panic("boom")
	case "error":
		return errors.New("plain failure")
	case "panic error":
		panic(fmt.Errorf("wrapped %w", io.EOF))
	}
	return nil
}

func (b boom) MarshalBinary() ([]byte, error)            { return []byte(b.Mode), burst(b.Mode) }
func (b *boom) UnmarshalBinary(d []byte) error           { b.Mode = string(d); return burst("panic" + b.Mode) }
func (b boomText) MarshalText() ([]byte, error)          { return []byte(b.Mode), burst(b.Mode) }
func (b *boomText) UnmarshalText(d []byte) error         { return burst(string(d)[1:]) }
func (b boomZero) AppendBinary(d []byte) ([]byte, error) { return append(d, byte(*b.p)), nil }
func (b *boomZero) UnmarshalBinary(d []byte) error       { *b.p = int(d[0]); return nil }

func failing[T any](t *testing.T, v T, word string) {
	t.Helper()
	c := codecFor[T](t)
	out, err := c.Append([]byte("prefix"), &v)
	if err == nil || !strings.Contains(err.Error(), word) {
		t.Errorf("%T: %v", v, err)
	}
	if string(out) != "prefix" {
		t.Errorf("%T: after an error the buffer holds %q", v, out)
	}
}

func TestPanicsInMarshallersAreErrors(t *testing.T) {
	for mode, word := range map[string]string{"panic": "boom", "error": "plain failure", "panic error": "wrapped"} {
		failing(t, boom{mode}, word)
		failing(t, boomText{mode}, word)
		failing(t, []boom{{}, {mode}}, word)
		failing(t, struct{ X *boomText }{&boomText{mode}}, word)
		failing(t, map[boomText]int{{mode}: 1}, word)
	}
	failing(t, boomZero{}, "nil pointer")
	for _, data := range [][]byte{nil, {1}, {1, 2}} {
		var z boomZero
		if err := codecFor[boomZero](t).Decode(data, &z); err == nil {
			t.Errorf("% x was decoded", data)
		}
		var b boomText
		if err := codecFor[boomText](t).Decode([]byte{0x60 + byte(len(data))}, &b); err == nil {
			t.Errorf("% x was decoded", data)
		}
	}

	var b boom
	if err := codecFor[boom](t).Decode([]byte(" error"), &b); err == nil || !strings.Contains(err.Error(), "wrapped") {
		t.Errorf("a panic on arrival: %v", err)
	}

	var l []boom
	if err := codecFor[[]boom](t).Decode([]byte{0x81, 0x40}, &l); err == nil || !strings.Contains(err.Error(), "boom") || l != nil {
		t.Errorf("a panic on arrival: %v, %v", err, l)
	}
}

// quitter's own form ends the goroutine, as FailNow does.
type quitter struct{ A int }

func (quitter) MarshalBinary() ([]byte, error)    { runtime.Goexit(); return nil, nil }
func (q *quitter) UnmarshalBinary(b []byte) error { runtime.Goexit(); return nil }

func TestGoexitInMarshallersIsAnError(t *testing.T) {
	failing(t, quitter{}, "Goexit")
	failing(t, []quitter{{1}}, "Goexit")
	failing(t, map[string]*quitter{"a": {1}}, "Goexit")
	var q quitter
	if err := codecFor[quitter](t).Decode([]byte{1}, &q); err == nil || !strings.Contains(err.Error(), "Goexit") {
		t.Errorf("got %v", err)
	}
	var l []quitter
	if err := codecFor[[]quitter](t).Decode([]byte{0x81, 0x40}, &l); err == nil || l != nil {
		t.Errorf("got %v, %v", l, err)
	}
}

// sometimes decides itself whether it is zero.
type sometimes struct{ A, B int }

func (s sometimes) IsZero() bool { return s.A == 0 }

func TestWhatWouldBeLostIsRefused(t *testing.T) {
	refused[struct {
		Name string
		S    sometimes `json:",omitzero"`
	}](t, ".S", "omitzero")
	refused[big.Float](t, "big.Float", "precision")
	refused[struct{ F []*big.Float }](t, ".F", "precision")
}

// shrinker violates its contract and does not append.
type shrinker struct{ A int }

func (shrinker) AppendBinary([]byte) ([]byte, error) { return []byte{1}, nil }
func (*shrinker) UnmarshalBinary([]byte) error       { return nil }

func TestAppenderThatDoesNotAppend(t *testing.T) {
	failing(t, shrinker{}, "append")
}

func fingerprintOf[T any](t *testing.T) uint64 {
	t.Helper()
	return codecFor[T](t).Fingerprint()
}

func TestFingerprints(t *testing.T) {
	seen := map[uint64]string{}
	add := func(name string, f uint64) {
		t.Helper()
		if other, ok := seen[f]; ok {
			t.Errorf("%s and %s have one fingerprint", name, other)
		}
		seen[f] = name
	}

	add("int", fingerprintOf[int](t))
	add("int64", fingerprintOf[int64](t))
	add("uint64", fingerprintOf[uint64](t))
	add("myInt", fingerprintOf[myInt](t))
	add("[]int", fingerprintOf[[]int](t))
	add("[2]int", fingerprintOf[[2]int](t))
	add("[3]int", fingerprintOf[[3]int](t))
	add("*int", fingerprintOf[*int](t))
	add("**int", fingerprintOf[**int](t))
	add("map[int]string", fingerprintOf[map[int]string](t))
	add("map[string]int", fingerprintOf[map[string]int](t))
	add("{A}", fingerprintOf[struct{ A int }](t))
	add("{B}", fingerprintOf[struct{ B int }](t))
	add("{A b}", fingerprintOf[struct {
		A int `json:"b"`
	}](t))
	add("{A, B}", fingerprintOf[struct{ A, B int }](t))
	add("{B, A}", fingerprintOf[struct{ B, A int }](t))
	add("{A {B}}", fingerprintOf[struct{ A struct{ B int } }](t))
	add("any", fingerprintOf[any](t))
	add("shape", fingerprintOf[shape](t))
	add("string", fingerprintOf[string](t))
	add("[]byte", fingerprintOf[[]byte](t))
	add("struct{}", fingerprintOf[struct{}](t))
	add("time", fingerprintOf[time.Time](t))
	add("tree", fingerprintOf[tree](t))
	add("ring", fingerprintOf[ring](t))

	// Types of one name differ by their content, at any depth.
	{
		type T struct{ X int }
		add("T{X int}", fingerprintOf[T](t))
		add("[]*T{X int}", fingerprintOf[[]*T](t))
	}

	{
		type T struct{ X int8 }
		add("T{X int8}", fingerprintOf[T](t))
		add("[]*T{X int8}", fingerprintOf[[]*T](t))
	}

	{
		type T struct{ Next *T }
		add("T{Next *T}", fingerprintOf[T](t))
	}

	{
		type T struct{ Next **T }
		add("T{Next **T}", fingerprintOf[T](t))
	}
	{
		type U struct{ A, B string }
		type T struct {
			One *T
			Two U
		}
		add("T{*T, U}", fingerprintOf[T](t))
	}

	if fingerprintOf[tree](t) != fingerprintOf[tree](t) {
		t.Error("not the same twice")
	}
}
