package errtree

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
)

// trouble is an error whose functions do what its At says.
type trouble struct {
	At  string
	Err error
}

func (e *trouble) Error() string { return "trouble at " + e.At }
func (e *trouble) Unwrap() error {
	if e.At == "Unwrap: panic" {
		panic(e.At)
	}
	return e.Err
}

// place is the part of a trouble that is sent.
type place struct{ At string }

func (p place) MarshalBinary() ([]byte, error) { act(p.At, "marshal"); return []byte(p.At), nil }
func (p *place) UnmarshalBinary(data []byte) error {
	p.At = string(data)
	act(p.At, "unmarshal")
	return nil
}

// act misbehaves in the way that at says if at names the given turn.
func act(at, turn string) {
	switch at {
	case turn + ": panic":
		panic(at)
	case turn + ": Goexit":
		runtime.Goexit()
	}
}

// textless is an error whose text is not sent.
type textless struct {
	text string
	Err  error
}

func (e *textless) Error() string { return e.text }
func (e *textless) Unwrap() error { return e.Err }

// fond is an error whose build requires the wrapped error.
type fond struct {
	Depth int
	Text  string
	Err   error
}

func (e *fond) Error() string { return e.Text }
func (e *fond) Unwrap() error { return e.Err }

func init() {
	for _, err := range []error{
		RegisterWrapper(
			func(e *trouble) place { act(e.At, "parts"); return place{e.At} },
			func(p place, err error) *trouble {
				act(p.At, "build")
				if p.At == "build: nil" {
					return nil
				}

				return &trouble{p.At, err}
			}),
		RegisterWrapper(
			func(e *textless) struct{} { return struct{}{} },
			func(_ struct{}, err error) *textless { return &textless{"", err} }),
		RegisterWrapper(
			func(e *fond) int { return e.Depth },
			func(depth int, err error) *fond { return &fond{depth, fmt.Sprint(depth, ": ", err.Error()), err} }),
	} {
		if err != nil {
			panic(err)
		}
	}
}

// Whatever the user's functions do, the text and the wrapped errors arrive.
func TestWrappersInTrouble(t *testing.T) {
	for _, at := range []string{
		"home", "parts: panic", "parts: Goexit", "marshal: panic", "marshal: Goexit",
		"unmarshal: panic", "unmarshal: Goexit", "build: panic", "build: Goexit", "build: nil",
	} {
		for _, sent := range []error{&trouble{at, io.EOF}, fmt.Errorf("x: %w", &trouble{at, io.EOF}), errors.Join(&trouble{at, io.EOF}, os.ErrExist)} {
			got := roundTrip(t, sent)
			var as *trouble
			if !errors.Is(got, io.EOF) || errors.As(got, &as) != (at == "home") {
				t.Errorf("%s: %#v", at, got)
			}
		}
	}

	got := roundTrip(t, &trouble{"Unwrap: panic", io.EOF})
	if as := (*trouble)(nil); errors.As(got, &as) {
		t.Errorf("built without what it wraps: %#v", as)
	}
}

// An error that is too deep is not built without the error that it wraps.
func TestWrappersTooDeep(t *testing.T) {
	err := io.EOF
	for depth := range 3 * maxDepth {
		err = &fond{depth, fmt.Sprint(depth, ": ", err.Error()), err}
	}

	n := 0
	for got := roundTrip(t, err); got != nil; n++ {
		if _, ok := got.(*fond); !ok {
			break
		}
		got = errors.Unwrap(got)
	}
	if n < maxDepth-1 {
		t.Errorf("%d levels arrived", n)
	}

	// As many nodes as allowed.
	many := make([]error, maxKids)
	for i := range many {
		many[i] = errors.Join(err, err)
	}
	roundTrip(t, errors.Join(many...))
}

// Unwrapping an error that is wrapped often takes no longer.
func TestWrappersOfOtherText(t *testing.T) {
	err := error(&textless{"none", io.EOF})
	for depth := range maxDepth - 2 {
		err = &textless{fmt.Sprint(depth), err}
	}
	got := roundTrip(t, err)
	if !errors.Is(got, io.EOF) || errors.Is(got, io.ErrClosedPipe) {
		t.Errorf("%v", got)
	}
	if as := (*textless)(nil); !errors.As(got, &as) {
		t.Error("the type is lost")
	}
}

func TestWrappersRefused(t *testing.T) {
	for want, err := range map[string]error{
		"is an interface": RegisterWrapper(func(error) int { return 0 }, func(int, error) error { return nil }),
		"Unwrap() error":  RegisterWrapper(func(*multiError) int { return 0 }, func(int, error) *multiError { return nil }),
		"registered":      RegisterWrapper(func(*fond) int { return 0 }, func(int, error) *fond { return nil }),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if _, err := codecOf[struct{ F *os.File }]()(); err == nil || !strings.Contains(err.Error(), "file") {
		t.Errorf("of a file: %v", err)
	}
}
