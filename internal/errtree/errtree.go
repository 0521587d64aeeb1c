// Package errtree sends errors between processes: the text, the whole tree of wrapped errors, the
// identity of known sentinels, and the values of known types. An error that the package does not
// know arrives as text.
package errtree

import (
	"fmt"
	"reflect"

	"github.com/go-multiprocessing/mp/internal/codec"
)

// A node is one error of an encoded tree.
type node struct {
	Text     string `cbor:"1,keyasint"`
	GoType   string `cbor:"2,keyasint,omitempty"`
	Sentinel string `cbor:"3,keyasint,omitempty"`
	Type     string `cbor:"4,keyasint,omitempty"`
	Value    []byte `cbor:"5,keyasint,omitempty"`
	Kids     []node `cbor:"6,keyasint,omitempty"`
	Cut      bool   `cbor:"7,keyasint,omitempty"` // it wraps more than Kids
}

// Remote is an error that came from another process and cannot be rebuilt here. Its text is that of
// the original error. Unwrap leads to the errors that the original wrapped.
type Remote struct {
	text   string
	goType string
	self   error // the registered type's value, for errors.As
	kids   []error
}

// Error returns the text of the original.
func (e *Remote) Error() string { return e.text }

// GoType returns the type of the original in its process.
func (e *Remote) GoType() string { return e.goType }

// Unwrap returns the value of a registered type, if any, followed by the errors that the original
// wrapped.
func (e *Remote) Unwrap() []error {
	if e.self == nil {
		return e.kids
	}
	return append([]error{e.self}, e.kids...)
}

// Append appends the encoding of err. It always succeeds and appends at most MaxEncoded bytes. An
// error that cannot be encoded is sent as its text. A text that is too long is shortened, and a
// note is added to it. Values that are too large, and errors that are nested too deep or are too
// many, are left out.
func Append(buf []byte, err error) []byte {
	n := nodeOf(err, 0, newBudget())
	out, encErr := codec.AppendAny(buf, n)
	if encErr != nil {
		out, _ = codec.AppendAny(buf, node{Text: n.Text, GoType: n.GoType})
	}
	return out
}

// Decode returns the error that Append encoded. For other data, it returns an error that says so
// and contains the beginning of the text in data. Whatever data contains, the cost is bounded, and
// linear in the size of data.
func Decode(data []byte) error {
	var n node
	err := codec.DecodeWithin(data, &n, bounds)
	if err == nil {
		left := maxNodes
		err = n.check(0, &left)
	}
	if err == nil {
		return n.build().err
	}
	if text := codec.FirstText(data); text != "" {
		return fmt.Errorf("an error that cannot be decoded: %w; it begins with: %s", err, text)
	}
	return fmt.Errorf("an error that cannot be decoded: %w", err)
}

// nodeOf returns the node of err, and subtracts its size from left. An error may wrap itself, so
// depth is bounded.
func nodeOf(err error, depth int, left *budget) node {
	left.nodes--
	n := node{GoType: fmt.Sprintf("%T", err)}
	if r, ok := err.(*Remote); ok && r != nil {
		n.GoType = r.goType
	}

	text, _ := textOf(err)
	n.Text, n.GoType = left.text(text), left.text(n.GoType)
	if name := sentinels.nameOf(err); name != "" && left.fits(len(name)) {
		n.Sentinel = name
		return n
	}
	if name, value := types.encode(err); left.fits(len(name) + len(value)) {
		n.Type, n.Value = name, value
	}

	inner, ok := wrappedBy(err)
	n.Cut = !ok
	for _, e := range inner {
		if e == nil {
			continue
		}
		if depth == maxDepth || len(n.Kids) == maxKids || left.nodes <= 0 {
			n.Cut = true
			break
		}
		n.Kids = append(n.Kids, nodeOf(e, depth+1, left))
	}

	return n
}

// wrappedBy returns the errors that err wraps. ok is false if Unwrap panics.
func wrappedBy(err error) (inner []error, ok bool) {
	defer func() { _ = recover() }()
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		inner = []error{u.Unwrap()}
	case interface{ Unwrap() []error }:
		inner = u.Unwrap()
	}
	return inner, true
}

// textOf returns the text of err. ok is false if Error panics.
func textOf(err error) (text string, ok bool) {
	defer func() {
		if r := recover(); r != nil {
			text = fmt.Sprintf("%T, whose Error method panics: %v", err, r)
		}
	}()
	return err.Error(), true
}

func isComparable(err error) bool { return reflect.ValueOf(err).Comparable() }
