// Package ask lets packages that the root does not import ask worker processes something, whatever
// they are doing: package insight asks for profiles. Both processes import the package that asks.
package ask

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/excerpt"
)

// A Handler answers a question, in a worker. The context ends when nobody needs the answer any more.
type Handler func(ctx context.Context, arg []byte) ([]byte, error)

var (
	mu       sync.Mutex
	handlers = map[string]Handler{}
)

// Handle says who answers the questions of a name. It belongs into init functions.
func Handle(name string, h Handler) {
	mu.Lock()
	defer mu.Unlock()
	handlers[name] = h
}

// MaxAnswer is the maximum size of an answer's data in bytes.
const MaxAnswer = 16 << 20

const maxErr = 64 << 10 // maximum size of an answer's error

// MaxEncoded is the maximum size of an encoded answer in bytes.
const MaxEncoded = MaxAnswer + maxErr + 64

var (
	questionBounds = codec.Bounds{Bytes: 1 << 20, Items: 5, Depth: 1}
	answerBounds   = codec.Bounds{Bytes: MaxEncoded, Items: 5, Depth: 1}
)

// question and answer are what travels.
type question struct {
	Name string `cbor:"1,keyasint"`
	Arg  []byte `cbor:"2,keyasint"`
}

type answer struct {
	Data []byte `cbor:"1,keyasint"`
	Err  string `cbor:"2,keyasint,omitempty"`
}

// Question encodes a question.
func Question(name string, arg []byte) ([]byte, error) {
	return codec.AppendAny(nil, question{name, arg})
}

// Answer answers an encoded question, in the worker. An answer longer than MaxAnswer becomes an error.
func Answer(ctx context.Context, data []byte) []byte {
	var a answer
	result, err := handle(ctx, data)
	if err == nil && len(result) > MaxAnswer {
		result, err = nil, fmt.Errorf("the answer has %d bytes: there may be at most %d", len(result), MaxAnswer)
	}
	if err != nil {
		result, a.Err = nil, excerpt.Head(err.Error(), maxErr)
	}
	a.Data = result
	out, err := codec.AppendAny(nil, a)
	if err != nil {
		return nil
	}
	return out
}

func handle(ctx context.Context, data []byte) (result []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	if err := ctx.Err(); err != nil { // nobody needs it any more
		return nil, err
	}
	var q question
	if err := codec.DecodeWithin(data, &q, questionBounds); err != nil {
		return nil, err
	}
	mu.Lock()
	h := handlers[q.Name]
	mu.Unlock()
	if h == nil {
		return nil, fmt.Errorf("the worker's program does not know how to answer %q: import the package that asks there too", q.Name)
	}
	return h(ctx, q.Arg)
}

// Result decodes what Answer has made.
func Result(data []byte) ([]byte, error) {
	var a answer
	if err := codec.DecodeWithin(data, &a, answerBounds); err != nil {
		return nil, fmt.Errorf("an answer that makes no sense: %w", err)
	}
	if a.Err != "" {
		return nil, errors.New(excerpt.Head(a.Err, maxErr))
	}
	return a.Data, nil
}

// ErrEnded is the error of asking a worker that has ended before it answered.
var ErrEnded = errors.New("it ended before it answered")

// A Reply is what a worker of a pool has answered.
type Reply struct {
	Worker int
	PID    int
	Data   []byte
	Err    error
}

// Pool asks all workers of a *mp.Pool that are in service. It is the root package's.
var Pool func(ctx context.Context, pool any, name string, arg []byte) ([]Reply, error)
