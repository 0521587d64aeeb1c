package stderrors

import (
	"context"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"os/exec"
	"reflect"
	"regexp/syntax"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/go-multiprocessing/mp/internal/errtree"
)

func trip(err error) error { return errtree.Decode(errtree.Append(nil, err)) }

// The table in the documentation lists all registered errors, and no others.
func TestTable(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}

	_, table, _ := strings.Cut(string(text), "// The registered errors are:\n//\n")
	var told []string
	for line := range strings.Lines(table) {
		if words := strings.Fields(strings.TrimPrefix(line, "//\t")); strings.HasPrefix(line, "//\t") {
			for _, name := range words[1:] {
				told = append(told, words[0]+"."+name)
			}
		}
	}

	is := slices.Concat(slices.Collect(maps.Keys(sentinels)), slices.Collect(maps.Keys(types)))
	slices.Sort(told)
	slices.Sort(is)
	if !slices.Equal(told, is) {
		for _, name := range told {
			if !slices.Contains(is, name) {
				t.Errorf("%s is told of, but not registered", name)
			}
		}
		for _, name := range is {
			if !slices.Contains(told, name) {
				t.Errorf("%s is registered, but not told of", name)
			}
		}
	}
}

func TestSentinels(t *testing.T) {
	for name, want := range sentinels {
		for _, err := range []error{want, fmt.Errorf("outer: %w", want), errors.Join(io.EOF, fmt.Errorf("deep: %w", want))} {
			if got := trip(err); !errors.Is(got, want) || got.Error() != err.Error() {
				t.Errorf("%s: %v arrived as %v", name, err, got)
			}
		}
	}
}

// examples are errors whose types are more than a number or a text.
var examples = []error{
	&xml.SyntaxError{Msg: "m", Line: 3},
	&net.AddrError{Err: "e", Addr: "a"},
	&net.ParseError{Type: "t", Text: "x"},
	&http.MaxBytesError{Limit: 5},
	&textproto.Error{Code: 4, Msg: "m"},
	&syntax.Error{Code: syntax.ErrMissingParen, Expr: "("},
	&csv.ParseError{StartLine: 1, Line: 2, Column: 3, Err: csv.ErrQuote},
	&exec.Error{Name: "n", Err: exec.ErrNotFound},
	&url.Error{Op: "Get", URL: "u", Err: io.EOF},
	&net.DNSError{Err: "no such host", Name: "n", IsNotFound: true, UnwrapErr: context.Canceled},
	&net.OpError{Op: "read", Net: "tcp", Source: &net.TCPAddr{IP: net.IPv4(1, 2, 3, 4).To4(), Port: 5}, Addr: &net.TCPAddr{IP: net.IPv6loopback, Port: 6}, Err: os.NewSyscallError("read", syscall.ECONNRESET)},
}

func TestTypes(t *testing.T) {
	all := slices.Clone(examples)
	for name, typ := range types {
		if slices.ContainsFunc(examples, func(e error) bool { return reflect.TypeOf(e) == typ }) {
			continue
		}

		v := reflect.New(typ).Elem()
		switch v.Kind() {
		case reflect.String:
			v.SetString("some text")
		case reflect.Int, reflect.Int64:
			v.SetInt(7)
		default:
			t.Errorf("%s has no example", name)
			continue
		}
		all = append(all, v.Interface().(error))
	}

	for _, want := range all {
		if got := trip(want); !reflect.DeepEqual(got, want) {
			t.Errorf("%#v arrived as %#v", want, got)
		}
		got := trip(fmt.Errorf("outer: %w", want))
		as := reflect.New(reflect.TypeOf(want))
		if !errors.As(got, as.Interface()) || !reflect.DeepEqual(as.Elem().Interface(), want) || got.Error() != "outer: "+want.Error() {
			t.Errorf("wrapped, %#v arrived as %#v", want, got)
		}
	}
}

// late is a timeout of a type that package net does not export.
type late struct{}

func (late) Error() string   { return "too late" }
func (late) Timeout() bool   { return true }
func (late) Temporary() bool { return true }

// An error that is a timeout is still a timeout after it has arrived.
func TestTimeouts(t *testing.T) {
	unix := &net.UnixAddr{Name: "/a", Net: "unix"}
	for _, want := range []error{
		&net.OpError{Op: "dial", Net: "tcp", Err: late{}}, &net.OpError{Op: "read", Net: "unix", Addr: unix, Err: os.ErrDeadlineExceeded},
		&net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ETIMEDOUT)},
		&url.Error{Op: "Get", URL: "u", Err: late{}}, &url.Error{Op: "Get", URL: "u", Err: &net.OpError{Op: "dial", Net: "tcp", Err: late{}}},
		&url.Error{Op: "Get", URL: "u", Err: context.DeadlineExceeded}, &net.DNSError{Err: "late", IsTimeout: true},
	} {
		var got net.Error
		if !errors.As(trip(fmt.Errorf("outer: %w", want)), &got) || !got.Timeout() || got.Error() != want.Error() {
			t.Errorf("%v arrived as %#v", want, got)
		}
	}

	var got net.Error
	if !errors.As(trip(&net.OpError{Op: "read", Net: "tcp", Err: io.EOF}), &got) || got.Timeout() {
		t.Errorf("%v is a timeout", got)
	}
}

func TestAddresses(t *testing.T) {
	for _, a := range []net.Addr{
		nil, &net.TCPAddr{IP: net.IPv4(1, 2, 3, 4).To4(), Port: 5}, &net.UDPAddr{IP: net.IPv6loopback, Port: 5, Zone: ""}, &net.IPAddr{IP: net.IPv6loopback},
		&net.UnixAddr{Name: "@x", Net: "unixgram"}, addr{"bus", "7"},
	} {
		var got *net.OpError
		if !errors.As(trip(&net.OpError{Op: "read", Net: "x", Addr: a, Err: io.EOF}), &got) || !reflect.DeepEqual(got.Addr, a) {
			t.Errorf("%#v arrived as %#v", a, got)
		}
	}
	var none *net.TCPAddr
	var got *net.OpError
	if !errors.As(trip(&net.OpError{Op: "read", Net: "x", Addr: none, Err: io.EOF}), &got) || got.Addr != nil {
		t.Errorf("a nil address arrived as %#v", got)
	}
}
