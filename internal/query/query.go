// Package query is for packages that the root package does not import. It lets them query worker
// processes, whatever the workers are doing. Package insight queries profiles this way. The package
// that asks must be imported in both processes.
package query

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/excerpt"
)

// A Handler answers a query in a worker. The context ends when no caller needs the answer any
// longer.
type Handler func(ctx context.Context, arg []byte) ([]byte, error)

var (
	mu       sync.Mutex
	handlers = map[string]Handler{}
)

// Handle registers the Handler for queries of the given name. It must be called in an init
// function.
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

// question and answer are the encoded forms of a query and its answer.
type question struct {
	Name string `cbor:"1,keyasint"`
	Arg  []byte `cbor:"2,keyasint"`
}

type answer struct {
	Data []byte `cbor:"1,keyasint"`
	Err  string `cbor:"2,keyasint,omitempty"`
}

// Question encodes a query.
func Question(name string, arg []byte) ([]byte, error) {
	return codec.AppendAny(nil, question{name, arg})
}

// Answer answers an encoded query, in the worker. An answer longer than MaxAnswer becomes an error.
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
	if err := ctx.Err(); err != nil { // no caller needs the answer any longer
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

// Result decodes the output of Answer.
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

// ErrEnded is the error for a worker that ends before it has answered.
var ErrEnded = errors.New("it ended before it answered")

// A Reply is the answer from one worker of a pool.
type Reply struct {
	Worker int
	PID    int
	Data   []byte
	Err    error
}

// Pool sends a query to all workers of an *mp.Pool that are in service, and returns their replies.
// The root package sets it.
var Pool func(ctx context.Context, pool any, name string, arg []byte) ([]Reply, error)
