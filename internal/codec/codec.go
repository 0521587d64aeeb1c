// Package codec encodes Go values as bytes and decodes them, so that a value that arrives in
// another process equals the value that was sent.
//
// Numbers, strings, byte slices, and slices and structs of numbers are copied as they are. A type
// with a binary form of its own uses that form, except that time.Time is encoded in a form that
// preserves its location. Everything else is CBOR, written by the CBOR library or by one of this
// package's coders. For chooses the encoding once per type, so that encoding a value costs one
// indirect call.
package codec

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/go-multiprocessing/mp/internal/protect"
)

// A Type encodes and decodes values of T. It is immutable and safe for concurrent use.
type Type[T any] struct {
	append      func(buf []byte, v *T) ([]byte, error)
	decode      func(data []byte, v *T) error
	adopt       func(data []byte, v *T) bool // decode without a copy, where possible; nil: never
	fingerprint uint64
	plain       bool // values are copied as they are in memory
	holds       bool // values may contain handles
	moves       bool // values may contain movers
	tickets     bool // tickets follow the value
	files       bool // values may contain files
}

// For returns the codec for T, or an error that names the part of T that cannot be sent. It
// considers the types that are registered at the time of the call, so it must be called after all
// init functions have run.
func For[T any]() (*Type[T], error) { return newType[T](argument) }

// ForResult is like For, but for results. The handles and files in a result belong to the receiver.
func ForResult[T any]() (*Type[T], error) { return newType[T](result) }

// ForMessage is like For, but for messages. The sender of a message does not wait for the receiver,
// and may be dead when the message is received. Only the first call for a T is expensive.
func ForMessage[T any]() (*Type[T], error) {
	var key *T
	if c, ok := forMessages.Load(key); ok {
		return c.(*Type[T]), nil
	}
	c, err := newType[T](message)
	if err == nil {
		forMessages.Store(key, c)
	}
	return c, err
}

// ForKey is like ForMessage, but for keys, which are compared by their encodings. Equal values have
// equal encodings, except that 0 and -0 differ.
func ForKey[T comparable]() (*Type[T], error) {
	var id *T
	if c, ok := forKeys.Load(id); ok {
		return c.(*Type[T]), nil
	}
	c, err := newType[T](key)
	if err == nil {
		forKeys.Store(id, c)
	}
	return c, err
}

var forMessages, forKeys sync.Map // *Type[T] by a nil *T

// A role is the purpose for which values of a type are encoded.
type role int

const (
	argument role = iota
	result
	message
	key
)

func newType[T any](r role) (*Type[T], error) {
	t := reflect.TypeFor[T]()
	if err := check(t); err != nil {
		return nil, err
	}

	c := &Type[T]{fingerprint: fingerprint(t), files: holdsFiles(t)}
	encode, decode := choose[T](t)
	asFields := r == key && isCompound(t) // the memory between fields is undefined
	if asFields {
		encode, decode = guarded(coderAppender[T](t)), guardedDecode(coderDecoder[T](t))
	}
	c.append, c.decode = withFiles(t, encode, decode, r == result)

	if callsUserCode(t, map[reflect.Type]bool{}) {
		c.shield()
	}

	if c.holds = holds(t); c.holds {
		c.moves = moves(t)
		c.tickets = r == result || r == argument && c.moves
		c.convey(r)
	}
	if c.files && r == result {
		c.endFiles()
	}

	c.plain = isPlain(t) && !hasOwnForm(t) && t.Size() > 0 && !asFields
	c.adopt = chooseAdopt[T](t)
	return c, nil
}

// shield makes c run the user's marshallers on separate goroutines, because a marshaller may end
// its goroutine.
func (c *Type[T]) shield() {
	encode, decode := c.append, c.decode
	c.append = func(buf []byte, v *T) (out []byte, err error) {
		out = buf
		err = protect.Call(func() (err error) {
			out, err = encode(buf, v)
			return err
		})
		return out, err
	}
	c.decode = func(data []byte, v *T) error {
		return protect.Call(func() error { return decode(data, v) })
	}
}

// Append appends the encoding of *v to buf. A panic or a runtime.Goexit in the user's marshallers
// is returned as an error. Append never changes the first len(buf) bytes of buf.
func (c *Type[T]) Append(buf []byte, v *T) (out []byte, err error) {
	if out, ok := c.AppendPlain(buf, v); ok {
		return out, nil
	}
	return c.append(buf, v)
}

// AppendPlain is like Append, but for a T that is copied as it is in memory. It keeps no reference
// to *v, which may be on the stack.
func (c *Type[T]) AppendPlain(buf []byte, v *T) (out []byte, ok bool) {
	if !c.plain {
		return buf, false
	}
	return append(buf, bytesOf(v)...), true
}

// Decode sets *v from data and keeps no reference to data. A panic or a runtime.Goexit in the
// user's unmarshallers is returned as an error.
func (c *Type[T]) Decode(data []byte, v *T) error {
	if c.DecodePlain(data, v) {
		return nil
	}
	return c.decode(data, v)
}

// Large is the size above which a task's arguments or results have memory of their own.
const Large = 64 << 10

// Take is like Decode, but if data is larger than Large, *v may keep it. The caller must not use
// such data again.
func (c *Type[T]) Take(data []byte, v *T) error {
	if len(data) > Large && c.adopt != nil && c.adopt(data, v) {
		return nil
	}
	return c.Decode(data, v)
}

// DecodePlain is like Decode, but for the output of AppendPlain. It reports whether data may be
// such output. It keeps no reference to *v either.
func (c *Type[T]) DecodePlain(data []byte, v *T) bool {
	raw := bytesOf(v)
	if !c.plain || len(data) != len(raw) {
		return false
	}
	copy(raw, data)
	return true
}

// Fingerprint identifies the shape of T. Two programs in which the fingerprint is equal understand
// each other's encodings of a T.
func (c *Type[T]) Fingerprint() uint64 { return c.fingerprint }

// choose returns the cheapest encoding that loses nothing.
func choose[T any](t reflect.Type) (func([]byte, *T) ([]byte, error), func([]byte, *T) error) {
	switch {
	case t.Size() == 0 && t.Kind() == reflect.Struct && t.NumField() == 0:
		return func(b []byte, _ *T) ([]byte, error) { return b, nil }, decodeNothing[T]
	case t == timeType:
		return coderAppender[T](t), coderDecoder[T](t)
	case marshalsBinary(t):
		return guarded(appendOwn[T](!appendsForEmbedded(t))), guardedDecode(decodeOwn[T])
	case hasOwnForm(t):
		// The CBOR library handles a text or CBOR form of the type's own.
	case isPlain(t):
		return appendPlain[T], decodePlain[T]
	case t.Kind() == reflect.Bool:
		return appendBool[T], decodeBool[T]
	case t.Kind() == reflect.String:
		return appendString[T], decodeString[T]
	case isPlainSlice(t):
		return appendPlainSlice[T], decodePlainSlice[T]
	}

	if needsCoder(t) {
		return guarded(coderAppender[T](t)), guardedDecode(coderDecoder[T](t))
	}
	return guarded(cborAppender[T]), guardedDecode(cborDecoder[T](t))
}

// chooseAdopt is like choose, but for values that can be decoded without a copy.
func chooseAdopt[T any](t reflect.Type) func([]byte, *T) bool {
	switch {
	case marshalsBinary(t) || hasOwnForm(t):
		return nil
	case t.Kind() == reflect.String:
		return adoptString[T]
	case isPlainSlice(t):
		return adoptPlainSlice[T]
	}
	return nil
}

func isPlainSlice(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && isPlain(t.Elem()) && !hasOwnForm(t.Elem()) && t.Elem().Size() > 0
}

func decodeNothing[T any](data []byte, _ *T) error {
	if len(data) != 0 {
		return fmt.Errorf("%d bytes for an empty struct", len(data))
	}
	return nil
}

// appendOwn uses the type's AppendBinary if appends is set, and otherwise its MarshalBinary.
func appendOwn[T any](appends bool) func(buf []byte, v *T) ([]byte, error) {
	return func(buf []byte, v *T) ([]byte, error) {
		if m, ok := any(v).(encoding.BinaryAppender); ok && appends {
			out, err := m.AppendBinary(buf)
			if err == nil && len(out) < len(buf) {
				err = fmt.Errorf("AppendBinary of %T does not append", v)
			}
			return out, err
		}

		m, ok := any(v).(encoding.BinaryMarshaler)
		if !ok {
			return nil, fmt.Errorf("%T has no AppendBinary", v)
		}
		b, err := m.MarshalBinary()
		return append(buf, b...), err
	}
}

func decodeOwn[T any](data []byte, v *T) error {
	m, ok := any(v).(encoding.BinaryUnmarshaler)
	if !ok {
		return fmt.Errorf("%T has no UnmarshalBinary", v)
	}
	return m.UnmarshalBinary(data)
}

func guarded[T any](f func([]byte, *T) ([]byte, error)) func([]byte, *T) ([]byte, error) {
	return func(buf []byte, v *T) (out []byte, err error) {
		defer func() {
			if r := recover(); r != nil {
				out, err = buf, panicked(r)
			}
		}()
		out, err = f(buf, v)
		if err != nil {
			return buf, err
		}
		return out, nil
	}
}

func guardedDecode[T any](f func([]byte, *T) error) func([]byte, *T) error {
	return func(data []byte, v *T) (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = panicked(r)
			}
		}()
		return f(data, v)
	}
}

func panicked(r any) error {
	if err, ok := r.(error); ok && errors.Is(err, errTooDeep) {
		return err
	}
	return &Panic{r, string(debug.Stack())}
}

// A Panic is the error of a user's marshaller that has panicked.
type Panic struct {
	Value any
	Stack string
}

func (p *Panic) Error() string {
	return "panic in a marshaller: " + strings.Join(strings.Fields(p.text()), " ")
}

// text formats the value, whose formatting may itself panic.
func (p *Panic) text() (s string) {
	defer func() {
		if recover() != nil {
			s = fmt.Sprintf("a %T, which panics when printed", p.Value)
		}
	}()
	return fmt.Sprint(p.Value)
}

// Unwrap returns the panic's value if it is an error.
func (p *Panic) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// StackOf returns the stack of the marshaller's panic that caused err, or "" if no such panic did.
func StackOf(err error) string {
	var p *Panic
	if errors.As(err, &p) {
		return p.Stack
	}
	return ""
}
