package stderrors

import (
	"compress/bzip2"
	"compress/flate"
	"encoding/csv"
	"encoding/xml"
	"image/jpeg"
	"image/png"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"os/exec"
	"os/user"
	"reflect"
	"regexp/syntax"
	"strings"

	"github.com/go-multiprocessing/mp/internal/errtree"
)

// types holds the registered types, keyed by package and name. The name of a pointer type begins
// with an asterisk.
var types = map[string]reflect.Type{}

func init() {
	value[bzip2.StructuralError]()
	value[flate.CorruptInputError]()
	value[flate.InternalError]()
	value[*xml.SyntaxError]()
	value[xml.UnmarshalError]()
	value[jpeg.FormatError]()
	value[jpeg.UnsupportedError]()
	value[png.FormatError]()
	value[png.UnsupportedError]()
	value[*net.AddrError]()
	value[*net.ParseError]()
	value[net.InvalidAddrError]()
	value[net.UnknownNetworkError]()
	value[*http.MaxBytesError]()
	value[*textproto.Error]()
	value[textproto.ProtocolError]()
	value[url.EscapeError]()
	value[url.InvalidHostError]()
	value[user.UnknownGroupError]()
	value[user.UnknownGroupIdError]()
	value[user.UnknownUserError]()
	value[user.UnknownUserIdError]()
	value[*syntax.Error]()
	wrapper(func(e *csv.ParseError) [3]int { return [3]int{e.StartLine, e.Line, e.Column} },
		func(p [3]int, err error) *csv.ParseError {
			return &csv.ParseError{StartLine: p[0], Line: p[1], Column: p[2], Err: err}
		})

	wrapper(func(e *exec.Error) string { return e.Name },
		func(name string, err error) *exec.Error { return &exec.Error{Name: name, Err: err} })
	wrapper(func(e *url.Error) urlParts { return urlParts{e.Op, e.URL, e.Timeout()} }, urlParts.build)
	wrapper(opPartsOf, opParts.build)
	wrapper(func(e *net.DNSError) dnsParts {
		return dnsParts{e.Err, e.Name, e.Server, e.IsTimeout, e.IsTemporary, e.IsNotFound}
	}, dnsParts.build)
}

func note[E error]() {
	t := reflect.TypeFor[E]()
	name := strings.TrimPrefix(t.String(), "*")
	name = name[strings.IndexByte(name, '.'):]
	if t.Kind() == reflect.Pointer {
		types[t.Elem().PkgPath()+".*"+name[1:]] = t
	} else {
		types[t.PkgPath()+name] = t
	}
}

func value[E error]() {
	note[E]()
	_ = errtree.RegisterType[E]() // fails if the program has registered E
}

func wrapper[E error, P any](parts func(E) P, build func(P, error) E) {
	note[E]()
	_ = errtree.RegisterWrapper(parts, build)
}

type urlParts struct {
	Op, URL string
	Timeout bool
}

func (p urlParts) build(err error) *url.Error {
	e := &url.Error{Op: p.Op, URL: p.URL, Err: err}
	if p.Timeout && !e.Timeout() {
		e.Err = timeout{err}
	}
	return e
}

type opParts struct {
	Op, Net      string
	Source, Addr *addrParts
	Timeout      bool
}

func opPartsOf(e *net.OpError) opParts {
	return opParts{e.Op, e.Net, addrPartsOf(e.Source), addrPartsOf(e.Addr), e.Timeout()}
}

func (p opParts) build(err error) *net.OpError {
	e := &net.OpError{Op: p.Op, Net: p.Net, Source: p.Source.build(), Addr: p.Addr.build(), Err: err}
	if p.Timeout && !e.Timeout() {
		e.Err = timeout{err}
	}
	return e
}

type dnsParts struct {
	Err, Name, Server              string
	Timeout, Temporary, IsNotFound bool
}

func (p dnsParts) build(err error) *net.DNSError {
	return &net.DNSError{UnwrapErr: err, Err: p.Err, Name: p.Name, Server: p.Server, IsTimeout: p.Timeout, IsTemporary: p.Temporary, IsNotFound: p.IsNotFound}
}

// timeout wraps an error that is a timeout but whose own type is not known here.
type timeout struct{ error }

func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }
func (t timeout) Unwrap() error { return t.error }

// addrParts is the encoded form of an address.
type addrParts struct{ Network, Text string }

func addrPartsOf(a net.Addr) *addrParts {
	if v := reflect.ValueOf(a); a == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil
	}
	return &addrParts{a.Network(), a.String()}
}

func (p *addrParts) build() net.Addr {
	if p == nil {
		return nil
	}

	switch p.Network {
	case "tcp", "tcp4", "tcp6":
		if at, err := netip.ParseAddrPort(p.Text); err == nil {
			return net.TCPAddrFromAddrPort(at)
		}
	case "udp", "udp4", "udp6":
		if at, err := netip.ParseAddrPort(p.Text); err == nil {
			return net.UDPAddrFromAddrPort(at)
		}
	case "ip", "ip4", "ip6":
		if at, err := netip.ParseAddr(p.Text); err == nil {
			return &net.IPAddr{IP: at.AsSlice(), Zone: at.Zone()}
		}
	case "unix", "unixgram", "unixpacket":
		return &net.UnixAddr{Name: p.Text, Net: p.Network}
	}

	return addr{p.Network, p.Text}
}

// addr is an address of a type that is not known here.
type addr struct{ network, text string }

func (a addr) Network() string { return a.network }
func (a addr) String() string  { return a.text }
