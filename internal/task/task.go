// Package task runs a task and describes its outcome: a result, an error, a panic, or a call of
// runtime.Goexit.
package task

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/errtree"
	"github.com/go-multiprocessing/mp/internal/excerpt"
)

// A Handler runs a function. It decodes the argument from in, and appends the encoded result to
// out. It may keep in if in is larger than codec.Large.
type Handler func(ctx context.Context, in, out []byte) ([]byte, error)

// Kinds of outcome.
const (
	OK       = 0 // data is the encoded result
	Failed   = 1 // data is an errtree
	Panicked = 2 // data is a Panic
	Exited   = 3 // the task called runtime.Goexit
)

// Outcome returns the word for a kind of outcome in log records.
func Outcome(kind uint8) string {
	switch kind {
	case OK:
		return "result"
	case Failed:
		return "error"
	case Panicked:
		return "panic"
	}
	return "Goexit"
}

// A Panic describes a panic.
type Panic struct {
	Text  string `cbor:"1,keyasint"`
	Err   []byte `cbor:"2,keyasint,omitempty"` // the value as an errtree, if it is an error
	Stack string `cbor:"3,keyasint"`
}

// Bounds of a panic's text and stack, which both the sender and the receiver respect.
const (
	maxPanicText = 256 << 10
	maxStack     = 256 << 10
)

// MaxFailure is the maximum size of the data of an outcome other than OK.
const MaxFailure = maxPanicText + maxStack + errtree.MaxEncoded + 64

var panicBounds = codec.Bounds{Bytes: MaxFailure, Items: 7, Depth: 1}

// ParsePanic decodes the data of a Panicked outcome. For data that AppendPanic does not produce, it
// returns an error that contains the beginning of the first text in data.
func ParsePanic(data []byte) (p Panic, err error) {
	err = codec.DecodeWithin(data, &p, panicBounds)
	if text := codec.FirstText(data); err != nil && text != "" {
		err = fmt.Errorf("%w; it begins with: %s", err, text)
	}
	p.Text, p.Stack = excerpt.Head(p.Text, maxPanicText), excerpt.Head(p.Stack, maxStack)
	return p, err
}

// Run calls h and returns the outcome; data is buf with the outcome's data appended. If the task
// calls runtime.Goexit, Run does not return, and the calling goroutine ends. The caller needs a
// deferred function to handle that case.
func Run(ctx context.Context, h Handler, in, buf []byte) (kind uint8, data []byte) {
	returned := false
	defer func() {
		if returned {
			return
		}
		r := recover()
		if r == nil { // runtime.Goexit, or panic(nil) under GODEBUG=panicnil=1
			r = "panic called with nil argument"
		}
		kind, data = Panicked, AppendPanic(buf, r)
	}()

	out, err := h(ctx, in, buf)
	returned = true
	if err != nil {
		return Failed, errtree.Append(buf, err)
	}
	return OK, out
}

// AppendPanic appends the data of a Panicked outcome. It must be called by the deferred function
// that recovered r, while the stack is still that of the panic.
func AppendPanic(buf []byte, r any) []byte {
	p := Panic{Text: excerpt.Head(textOf(r), maxPanicText), Stack: excerpt.Head(string(debug.Stack()), maxStack)}
	if err, ok := r.(error); ok {
		p.Err = errtree.Append(nil, err)
	}
	out, err := codec.AppendAny(buf, p)
	if err != nil {
		return buf
	}
	return out
}

// textOf formats a panic's value. The value's own methods may panic, too.
func textOf(r any) (s string) {
	defer func() {
		if recover() != nil {
			s = fmt.Sprintf("%T, which panics when printed", r)
		}
	}()
	return fmt.Sprint(r)
}
