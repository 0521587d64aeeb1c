//lint:file-ignore SA5008,SA4000,U1000,S1040 these tests contain wrong code on purpose

package errtree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/excerpt"
)

type (
	codeError  struct{ Code int }       // registered, a value
	ptrError   struct{ Msg string }     // registered, a pointer
	listError  struct{ Items []string } // registered, not comparable
	wrapError  struct{ inner error }    // registered with its own form, and wraps
	noisyError struct{ Mode string }    // registered; its methods panic
	multiError struct{ errs []error }   // registered with its own form, wraps several
	fieldError struct{ Inner error }    // registered, but cannot be sent
	localError struct{ secret int }     // unknown to the table
	lostError  struct{ err error }      // unknown, wraps
	isError    struct{ Name string }    // registered, with an Is of its own
	textError  string                   // registered, not a struct
	funcError  func()                   // unknown, not comparable
	mapError   map[string]int           // unknown, not comparable
	holder     struct{ any any }        // unknown, comparable or not by its content
	badSend    struct{ Msg string }     // registered, its marshaller panics
	badArrive  struct{ Msg string }     // registered, its unmarshaller panics
)

var (
	errMine    = errors.New("mine")
	errOnly    = errors.New("registered under a name")
	errUnknown = errors.New("unknown here")
)

func (e codeError) Error() string   { return "code " + strconv.Itoa(e.Code) }
func (e *ptrError) Error() string   { return e.Msg }
func (e listError) Error() string   { return strings.Join(e.Items, ", ") }
func (e wrapError) Error() string   { return "wrap: " + fmt.Sprint(e.inner) }
func (e wrapError) Unwrap() error   { return e.inner }
func (e *multiError) Error() string { return "several" }
func (e *multiError) Unwrap() []error {
	return e.errs
}
func (e *fieldError) Error() string { return "field" }
func (e *fieldError) Unwrap() error { return e.Inner }
func (e *localError) Error() string { return "local " + strconv.Itoa(e.secret) }
func (e lostError) Error() string   { return "lost: " + e.err.Error() }
func (e lostError) Unwrap() error   { return e.err }
func (e *isError) Error() string    { return e.Name }
func (e *isError) Is(target error) bool {
	o, ok := target.(*isError)
	return ok && o.Name == e.Name
}
func (e textError) Error() string { return string(e) }
func (funcError) Error() string   { return "func" }
func (mapError) Error() string    { return "map" }
func (holder) Error() string      { return "holder" }
func (badSend) Error() string     { return "bad send" }
func (*badArrive) Error() string  { return "bad arrive" }

func (e noisyError) Error() string {
	if e.Mode == "error" {
		panic("in Error")
	}
	return "noisy"
}

func (e noisyError) Unwrap() error {
	switch e.Mode {
	case "unwrap":
		panic("in Unwrap")
	case "far": // only in the process that decodes the error
		if decoding {
			panic("in Unwrap")
		}
		return io.EOF
	}
	return nil
}

var decoding bool

func (e wrapError) MarshalBinary() ([]byte, error)   { return nil, nil }
func (e *wrapError) UnmarshalBinary([]byte) error    { return nil }
func (e *multiError) MarshalBinary() ([]byte, error) { return nil, nil }
func (e *multiError) UnmarshalBinary([]byte) error   { return nil }
func (badSend) MarshalBinary() ([]byte, error)       { panic("in MarshalBinary") }
func (*badSend) UnmarshalBinary([]byte) error        { return nil }
func (*badArrive) MarshalBinary() ([]byte, error)    { return []byte("x"), nil }
func (*badArrive) UnmarshalBinary([]byte) error      { panic("in UnmarshalBinary") }

func init() {
	for _, err := range []error{
		RegisterSentinel("test.mine", errMine), RegisterSentinel("test.only", errOnly),
		RegisterType[codeError](), RegisterType[*ptrError](), RegisterType[listError](), RegisterType[wrapError](), RegisterType[noisyError](),
		RegisterType[*multiError](), RegisterType[*fieldError](), RegisterType[*isError](), RegisterType[textError](),
		RegisterType[badSend](), RegisterType[*badArrive](),
		RegisterWrapper(func(e *opError) string { return e.op }, func(op string, err error) *opError { return &opError{op, err} }),
	} {
		if err != nil {
			panic(err)
		}
	}
}

type opError struct {
	op  string
	err error
}

func (e *opError) Error() string { return e.op + ": " + fmt.Sprint(e.err) }
func (e *opError) Unwrap() error { return e.err }

// roundTrip encodes and decodes err. The text must stay the same, as far as there is room for it.
func roundTrip(t testing.TB, err error) error {
	t.Helper()
	data := Append([]byte("prefix"), err)
	if string(data[:6]) != "prefix" {
		t.Fatalf("%T: what was in the buffer is gone", err)
	}
	decoding = true
	got := Decode(data[6:])
	decoding = false
	if got == nil {
		t.Fatalf("%T arrived as nil", err)
	}
	if want, _ := textOf(err); got.Error() != excerpt.Head(want, maxText) {
		t.Errorf("%T: %.1000q arrived as %.1000q", err, want, got.Error())
	}
	return got
}

func TestSentinelsArriveIdentical(t *testing.T) {
	for name, err := range sentinels.errs {
		if got := roundTrip(t, err); got != err {
			t.Errorf("%s arrived as %T %v", name, got, got)
		}
		if got := roundTrip(t, fmt.Errorf("in a wrapper: %w", err)); !errors.Is(got, err) {
			t.Errorf("%s is not found in %v", name, got)
		}
	}

	for _, err := range []error{io.EOF, context.Canceled, context.DeadlineExceeded, fs.ErrNotExist, os.ErrDeadlineExceeded, errMine} {
		if roundTrip(t, err) != err {
			t.Errorf("%v is not itself", err)
		}
	}
	if got := roundTrip(t, errors.New("EOF")); got == io.EOF || errors.Is(got, io.EOF) {
		t.Error("a text that says EOF became io.EOF")
	}
}

func TestTreesKeepTheirShape(t *testing.T) {
	tree := fmt.Errorf("a %w b %w c %w", io.EOF, fmt.Errorf("x: %w", &ptrError{"p"}), errors.Join(errMine, codeError{7}, lostError{fs.ErrPermission}))
	got := roundTrip(t, errors.Join(errors.New("first"), tree))
	for _, want := range []error{io.EOF, errMine, fs.ErrPermission, codeError{7}} {
		if !errors.Is(got, want) {
			t.Errorf("%v is lost", want)
		}
	}

	for _, other := range []error{fs.ErrNotExist, io.ErrUnexpectedEOF, errOnly, codeError{8}} {
		if errors.Is(got, other) {
			t.Errorf("%v is found", other)
		}
	}
	if p, ok := errors.AsType[*ptrError](got); !ok || p.Msg != "p" {
		t.Errorf("*ptrError: %v", p)
	}
	if c, ok := errors.AsType[codeError](got); !ok || c.Code != 7 {
		t.Errorf("codeError: %v", c)
	}

	r, ok := got.(*Remote)
	if !ok || r.GoType() != "*errors.joinError" {
		t.Errorf("%T", got)
	}

	// The error passes through a second process, as with a nested pool.
	again := roundTrip(t, roundTrip(t, got))
	if !errors.Is(again, io.EOF) || !errors.Is(again, fs.ErrPermission) || !errors.Is(again, codeError{7}) {
		t.Error("lost on the second way")
	}
	if r, ok := again.(*Remote); !ok || r.GoType() != "*errors.joinError" {
		t.Errorf("after three ways it says %q", r.GoType())
	}
}

func TestStandardTypes(t *testing.T) {
	_, openErr := os.Open("/does/not/exist")
	_, numErr := strconv.Atoi("x1")
	_, rangeErr := strconv.ParseInt("999999999999999999999", 10, 64)
	linkErr := os.Link("/does/not/exist", "/nor/this")
	for _, c := range []struct {
		err error
		is  []error
		not error
	}{
		{openErr, []error{fs.ErrNotExist, syscall.ENOENT}, fs.ErrExist},
		{fmt.Errorf("load: %w", openErr), []error{fs.ErrNotExist}, fs.ErrPermission},
		{linkErr, []error{fs.ErrNotExist}, io.EOF},
		{numErr, []error{strconv.ErrSyntax}, strconv.ErrRange},
		{rangeErr, []error{strconv.ErrRange}, strconv.ErrSyntax},
		{os.NewSyscallError("read", syscall.EAGAIN), []error{syscall.EAGAIN}, syscall.EINTR},
		{syscall.EACCES, []error{fs.ErrPermission, syscall.EACCES}, syscall.ENOENT},
		{syscall.Errno(0), []error{syscall.Errno(0)}, syscall.Errno(1)},
		{syscall.Errno(12345), []error{syscall.Errno(12345)}, io.EOF},
		{&fs.PathError{Op: "open", Path: "\xff\x00", Err: io.ErrClosedPipe}, []error{io.ErrClosedPipe}, io.EOF},
		{&fs.PathError{Op: "open", Path: "p", Err: errUnknown}, nil, errUnknown},
		{&net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, []error{syscall.ECONNREFUSED}, io.EOF},
		{&exec.Error{Name: "no", Err: exec.ErrNotFound}, nil, io.EOF},
	} {
		got := roundTrip(t, c.err)
		for _, want := range c.is {
			if !errors.Is(got, want) {
				t.Errorf("%v is no longer %v", c.err, want)
			}
		}

		if errors.Is(got, c.not) {
			t.Errorf("%v is %v now", c.err, c.not)
		}
	}

	if p, ok := roundTrip(t, openErr).(*fs.PathError); !ok || p.Op != "open" || p.Path != "/does/not/exist" || p.Err != syscall.ENOENT {
		t.Errorf("%#v", p)
	}
	if e, ok := roundTrip(t, syscall.ENOENT).(syscall.Errno); !ok || e != syscall.ENOENT {
		t.Errorf("%v", e)
	}

	if n, ok := errors.AsType[*strconv.NumError](roundTrip(t, fmt.Errorf("in: %w", numErr))); !ok || n.Num != "x1" || n.Func != "Atoi" {
		t.Errorf("%#v", n)
	}
	if l, ok := roundTrip(t, linkErr).(*os.LinkError); !ok || l.Old != "/does/not/exist" || l.New != "/nor/this" {
		t.Errorf("%#v", l)
	}
}

func TestRegisteredTypes(t *testing.T) {
	if got := roundTrip(t, codeError{3}); got != (codeError{3}) {
		t.Errorf("%#v", got)
	}
	if got, ok := roundTrip(t, &ptrError{"m"}).(*ptrError); !ok || got.Msg != "m" {
		t.Errorf("%#v", got)
	}
	if got := roundTrip(t, textError("\xffbad")); got != textError("\xffbad") {
		t.Errorf("%#v", got)
	}
	if got := roundTrip(t, listError{[]string{"a", "b"}}); !reflect.DeepEqual(got, listError{[]string{"a", "b"}}) {
		t.Errorf("%#v", got)
	}
	if got := roundTrip(t, &isError{"n"}); !errors.Is(got, &isError{"n"}) || errors.Is(got, &isError{"m"}) {
		t.Errorf("%#v", got)
	}
	if got, ok := roundTrip(t, &opError{"op", io.EOF}).(*opError); !ok || got.op != "op" || got.err != io.EOF {
		t.Errorf("%#v", got)
	}

	// The errors that a registered type wraps arrive, although its own form omits them.
	got := roundTrip(t, wrapError{fmt.Errorf("in: %w", io.EOF)})
	if w, ok := errors.AsType[wrapError](got); !ok || w.inner != nil {
		t.Errorf("%#v", got)
	}
	if !errors.Is(got, io.EOF) {
		t.Error("what a registered type wraps is lost")
	}

	got = roundTrip(t, &multiError{[]error{errMine, nil, codeError{1}}})
	if _, ok := errors.AsType[*multiError](got); !ok || !errors.Is(got, errMine) || !errors.Is(got, codeError{1}) {
		t.Errorf("%#v", got)
	}

	// The type is not registered in this form.
	if got, ok := roundTrip(t, &codeError{3}).(*Remote); !ok || got.GoType() != "*errtree.codeError" {
		t.Errorf("%#v", got)
	}
}

func TestUnknownTypesArriveAsText(t *testing.T) {
	got := roundTrip(t, lostError{&localError{5}})
	if _, ok := errors.AsType[*localError](got); ok {
		t.Error("an unknown type has arrived")
	}

	r, ok := got.(*Remote)
	if !ok || r.GoType() != "errtree.lostError" || len(r.Unwrap()) != 1 {
		t.Fatalf("%#v", got)
	}
	if k, ok := r.Unwrap()[0].(*Remote); !ok || k.GoType() != "*errtree.localError" || k.Error() != "local 5" {
		t.Errorf("%#v", r.Unwrap()[0])
	}
	if roundTrip(t, errUnknown) == errUnknown {
		t.Error("an unknown error has arrived as itself")
	}
	for _, err := range []error{errors.New(""), errors.New("a\nb"), errors.New("\xff\xfe"), errors.New(strings.Repeat("x", 1<<20))} {
		roundTrip(t, err)
	}
}

// Errors that are not comparable must not cause a panic in a map or a comparison.
func TestUncomparableErrors(t *testing.T) {
	for _, err := range []error{funcError(func() {}), funcError(nil), mapError{"a": 1}, mapError(nil), holder{[]int{1}}, holder{1}, holder{}, listError{nil},
		lostError{mapError{}}, errors.Join(funcError(nil), io.EOF)} {
		got := roundTrip(t, err)
		if errors.Is(got, errMine) {
			t.Errorf("%T is errMine", err)
		}
	}
	for _, err := range []error{nil, funcError(nil), mapError{}, holder{[]int{}}, listError{}} {
		if RegisterSentinel("test.uncomparable", err) == nil {
			t.Errorf("%T was registered", err)
		}
	}
}

func TestNilPointersAndNil(t *testing.T) {
	for _, err := range []error{(*ptrError)(nil), (*fs.PathError)(nil), (*opError)(nil), (*multiError)(nil), (*localError)(nil), (*os.LinkError)(nil), (*isError)(nil),
		fmt.Errorf("in: %w", (*ptrError)(nil)), errors.Join((*fs.PathError)(nil), io.EOF), (*Remote)(nil)} {
		got := roundTrip(t, err)
		_ = errors.Is(got, io.ErrClosedPipe)
	}
	if got := Decode(Append(nil, nil)); got == nil || got.Error() == "" {
		t.Errorf("nil arrived as %v", got)
	}
}

// Whatever the methods do, the text of the error that arrives can be printed.
func TestPanicsInMethods(t *testing.T) {
	for _, err := range []error{
		noisyError{"error"}, noisyError{"unwrap"}, noisyError{"far"}, fmt.Errorf("in: %w", noisyError{"unwrap"}), badSend{"x"}, &badArrive{"x"},
		&fs.PathError{Op: "open", Path: "p"}, &os.SyscallError{Syscall: "read"}, lostError{}, &strconv.NumError{}, &os.LinkError{},
		errors.Join(io.EOF, noisyError{"unwrap"}), &multiError{[]error{noisyError{"error"}, noisyError{"unwrap"}}},
	} {
		got := roundTrip(t, err) // calls Error
		if s := fmt.Sprintf("%v", got); strings.Contains(s, "PANIC=") {
			t.Errorf("%T: printing it panics: %s", err, s)
		}
	}

	got := roundTrip(t, fmt.Errorf("in: %w and %w", noisyError{"error"}, io.EOF).(error))
	if !errors.Is(got, io.EOF) {
		t.Error("a sibling of a panic is lost")
	}
	if got := roundTrip(t, fmt.Errorf("in: %w", &badArrive{"x"})); got.Error() != "in: bad arrive" {
		t.Error(got)
	}
}

type (
	loop      struct{}
	fork      struct{ fan int }
	loopUnreg struct{ next error }
)

func (*loop) Error() string   { return "loop" }
func (l *loop) Unwrap() error { return l }
func (*fork) Error() string   { return "fork" }
func (f *fork) Unwrap() (errs []error) {
	for range f.fan {
		errs = append(errs, f)
	}
	return errs
}
func (*loopUnreg) Error() string   { return "loop of two" }
func (l *loopUnreg) Unwrap() error { return l.next }

func count(err error) (n int) {
	switch u := err.(type) {
	case *Remote:
		for _, k := range u.Unwrap() {
			n += count(k)
		}
	case interface{ Unwrap() error }:
		n = count(u.Unwrap())
	}
	return n + 1
}

func TestCyclesEnd(t *testing.T) {
	two := &loopUnreg{&loopUnreg{}}
	two.next.(*loopUnreg).next = two
	for _, err := range []error{&loop{}, two, &fork{1}, &fork{2}, &fork{3000}, fmt.Errorf("in: %w", &fork{2}), &fs.PathError{Op: "o", Path: "p", Err: &fork{2}}} {
		data := Append(nil, err)
		if len(data) > 4<<20 {
			t.Errorf("%T: %d bytes", err, len(data))
		}

		got := roundTrip(t, err)
		if n := count(got); n > 1<<16 {
			t.Errorf("%T: %d errors", err, n)
		}
		if errors.Is(got, errMine) {
			t.Error("found what is not there")
		}
	}

	// A wide tree is not a cycle either.
	wide := error(io.EOF)
	for range 40 {
		wide = pair{wide}
	}
	if data := Append(nil, wide); len(data) > 4<<20 {
		t.Errorf("a wide tree: %d bytes", len(data))
	}
}

// noText wraps an error without repeating its text.
type noText struct{ error }

func (noText) Error() string   { return "no text" }
func (n noText) Unwrap() error { return n.error }

// pair wraps an error twice.
type pair struct{ err error }

func (pair) Error() string     { return "pair" }
func (p pair) Unwrap() []error { return []error{p.err, p.err} }

func TestDeepChains(t *testing.T) {
	err := error(noText{io.EOF})
	for range maxDepth - 2 {
		err = noText{err}
	}
	if got := roundTrip(t, err); !errors.Is(got, io.EOF) {
		t.Errorf("io.EOF is lost at depth %d", maxDepth)
	}

	for range 5_000 {
		err = noText{err}
	}
	roundTrip(t, err)
	many := make([]error, 500)
	for i := range many {
		many[i] = codeError{i}
	}

	got := roundTrip(t, errors.Join(many...))
	for i := range many {
		if !errors.Is(got, codeError{i}) {
			t.Fatalf("number %d of 500 joined errors is lost", i)
		}
	}
}

func TestRegisterTwice(t *testing.T) {
	if RegisterSentinel("test.mine", errors.New("other")) == nil || RegisterSentinel("test.other", errMine) == nil || RegisterSentinel("x", io.EOF) == nil {
		t.Error("a sentinel was registered twice")
	}
	if RegisterType[codeError]() == nil || RegisterType[*codeError]() == nil || RegisterType[*fs.PathError]() == nil || RegisterType[syscall.Errno]() == nil {
		t.Error("a type was registered twice")
	}

	if RegisterType[error]() == nil || RegisterType[interface {
		error
		Timeout() bool
	}]() == nil {
		t.Error("an interface was registered")
	}

	if err := Check(); err == nil || !strings.Contains(err.Error(), "fieldError.Inner") {
		t.Errorf("Check does not name the field: %v", err)
	}
	if got, ok := roundTrip(t, &fieldError{io.EOF}).(*Remote); !ok || !errors.Is(got, io.EOF) {
		t.Error("a registered type that cannot travel does not arrive as text")
	}
}

func TestUnknownNames(t *testing.T) {
	for _, n := range []node{
		{Text: "t", Sentinel: "nobody.knows"}, {Text: "t", Type: "nobody.knows", Value: []byte{1}}, {Text: "t", Type: "io/fs.PathError"},
		{Text: "t", Type: "io/fs.PathError", Value: []byte{0xff}}, {Text: "t", Type: "syscall.Errno", Value: []byte{0x20}},
		{Text: "t", Sentinel: "io.EOF2", Kids: []node{{Text: "k"}}},
	} {
		data, err := codec.AppendAny(nil, n)
		if err != nil {
			t.Fatal(err)
		}

		if got := Decode(data); got == nil || got.Error() != "t" {
			t.Errorf("%+v: %v", n, got)
		}
	}

	// A registered type with another text keeps that text, and errors.Is finds its value
	// nevertheless.
	data, _ := codec.AppendAny(nil, node{Text: "said otherwise", Type: typeName[codeError](), Value: mustEncode(codeError{4})})
	if got := Decode(data); got.Error() != "said otherwise" || !errors.Is(got, codeError{4}) {
		t.Errorf("%#v", got)
	}
}

func typeName[E error]() string { return types.byType[reflect.TypeFor[E]()].name }
func mustEncode(e error) []byte { _, data := types.encode(e); return data }

func FuzzDecode(f *testing.F) {
	for _, err := range []error{io.EOF, errUnknown, &fs.PathError{Op: "o", Path: "p", Err: syscall.ENOENT}, errors.Join(errMine, codeError{1}, &multiError{}),
		&strconv.NumError{Func: "f", Num: "n", Err: strconv.ErrRange}, noisyError{"error"}, noisyError{"far"}, &badArrive{}, listError{[]string{"x"}}, &opError{"o", io.EOF}} {
		f.Add(Append(nil, err))
	}
	f.Add([]byte(nil))
	f.Add([]byte{0xa1, 6, 0x9a, 0x7f, 0xff, 0xff, 0xff})
	f.Add(manyNodes(maxKids))
	f.Add(manyNodes(10 * maxNodes))
	f.Add(nested(maxDepth))
	f.Add(nested(maxNodes))
	_ = Decode(Append(nil, io.EOF)) // initializes what is created only once
	f.Fuzz(func(t *testing.T, data []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		decoding = true
		err := Decode(data)
		if err == nil {
			t.Fatal("garbage is nil")
		}

		_ = err.Error()
		quietly(func() { _ = errors.Is(err, errMine) })
		decoding = false
		again := Decode(Append(nil, err))
		if again.Error() != err.Error() {
			t.Errorf("%q, sent on, became %q", err, again)
		}

		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20+uint64(len(data))<<11 {
			t.Errorf("%d bytes allocated for %d", got, len(data))
		}
	})
}

// quietly ignores the panics of noisyError, whose Unwrap errors.Is calls.
func quietly(f func()) {
	defer func() { _ = recover() }()
	f()
}
