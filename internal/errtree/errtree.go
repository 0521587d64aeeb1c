// Package errtree carries errors between processes: the text, the whole tree
// of wrapped errors, the identity of known sentinels and the values of known
// types. What it does not know arrives as text.
package errtree

import (
	"fmt"
	"reflect"

	"github.com/go-multiprocessing/mp/internal/codec"
)

// Bounds on what is sent of one error; what lies beyond is left to the text.
const (
	maxDepth = 64
	maxKids  = 1024
	maxNodes = 8192
)

// node is one error of a tree on the wire.
type node struct {
	Text     string `cbor:"1,keyasint"`
	GoType   string `cbor:"2,keyasint,omitempty"`
	Sentinel string `cbor:"3,keyasint,omitempty"`
	Type     string `cbor:"4,keyasint,omitempty"`
	Value    []byte `cbor:"5,keyasint,omitempty"`
	Kids     []node `cbor:"6,keyasint,omitempty"`
	Cut      bool   `cbor:"7,keyasint,omitempty"` // it wraps more than Kids
}

// Remote is an error that came from another process and has no better form
// here. Its text is the original's; Unwrap leads to what the original wrapped.
type Remote struct {
	text   string
	goType string
	self   error // the registered type's value, for errors.As
	kids   []error
}

// Error returns the text of the original.
func (e *Remote) Error() string { return e.text }

// GoType is the type of the original in the process that it came from.
func (e *Remote) GoType() string { return e.goType }

// Unwrap returns the value of a registered type, then what the original wrapped.
func (e *Remote) Unwrap() []error {
	if e.self == nil {
		return e.kids
	}
	return append([]error{e.self}, e.kids...)
}

// Append appends the encoding of err, which always succeeds: what cannot be
// encoded is sent as text.
func Append(buf []byte, err error) []byte {
	left := maxNodes
	n := nodeOf(err, 0, &left)
	out, encErr := codec.AppendAny(buf, n)
	if encErr != nil {
		out, _ = codec.AppendAny(buf, node{Text: n.Text, GoType: n.GoType})
	}
	return out
}

// Decode returns the error that Append encoded; garbage is an error as well.
func Decode(data []byte) error {
	var n node
	if err := codec.DecodeAny(data, &n); err != nil {
		return fmt.Errorf("an error that cannot be decoded: %w", err)
	}
	return n.toError()
}

// nodeOf takes from left what it sends; an error may wrap itself.
func nodeOf(err error, depth int, left *int) node {
	*left--
	n := node{GoType: fmt.Sprintf("%T", err)}
	n.Text, _ = textOf(err)
	if r, ok := err.(*Remote); ok && r != nil {
		n.GoType = r.goType
	}
	if name := sentinels.nameOf(err); name != "" {
		n.Sentinel = name
		return n
	}
	n.Type, n.Value = types.encode(err)
	inner, ok := wrappedBy(err)
	n.Cut = !ok
	for _, e := range inner {
		if e == nil {
			continue
		}
		if depth == maxDepth || len(n.Kids) == maxKids || *left <= 0 {
			n.Cut = true
			break
		}
		n.Kids = append(n.Kids, nodeOf(e, depth+1, left))
	}
	return n
}

// wrappedBy returns what err wraps; ok is false if Unwrap panics.
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

// textOf returns the text of err; ok is false if Error panics.
func textOf(err error) (text string, ok bool) {
	defer func() {
		if r := recover(); r != nil {
			text = fmt.Sprintf("%T, whose Error method panics: %v", err, r)
		}
	}()
	return err.Error(), true
}

func (n node) toError() error {
	if n.Sentinel != "" {
		if err := sentinels.byName(n.Sentinel); err != nil {
			return err
		}
	}
	kids := make([]error, 0, len(n.Kids))
	for _, k := range n.Kids {
		kids = append(kids, k.toError())
	}
	holds, self := types.decode(n, kids)
	leads := self != nil && wrapsItself(self)
	if self != nil && (len(kids) == 0 || leads) {
		if text, ok := textOf(self); ok && text == n.Text {
			return self
		}
	}
	if holds && leads {
		kids = nil // which self leads to: twice at each level would be exponential
	}
	return &Remote{text: n.Text, goType: n.GoType, self: self, kids: kids}
}

// wrapsItself reports whether a rebuilt error already leads to what it wraps.
func wrapsItself(err error) (wraps bool) {
	defer func() { _ = recover() }() // of the user's Unwrap
	u, ok := err.(interface{ Unwrap() error })
	return ok && u.Unwrap() != nil
}

func isComparable(err error) bool { return reflect.ValueOf(err).Comparable() }
