package store

import (
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/go-multiprocessing/mp/internal/errtree"
)

// A Kind is what an object is.
type Kind byte

// The kinds of objects.
const (
	KindDict Kind = iota + 1
	KindList
	KindSet
	KindValue
	KindQueue
	KindLock // one at a time, or several that read
	KindSemaphore
	KindCond
	KindEvent
	KindBarrier
	KindWaitGroup
	KindOwn
)

var kindNames = [...]string{
	KindDict: "dict", KindList: "list", KindSet: "set", KindValue: "value", KindQueue: "queue", KindLock: "lock",
	KindSemaphore: "semaphore", KindCond: "condition", KindEvent: "event", KindBarrier: "barrier", KindWaitGroup: "wait group", KindOwn: "own type",
}

func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", byte(k))
}

// Shape is the number of what an object of a kind holds, given those of its types.
func Shape(k Kind, types ...uint64) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, byte(k), types)
	return h.Sum64()
}

// An Op is what a request asks for.
type Op byte

// exec is a request that is being done.
type exec struct {
	s    *Store
	c    *Client
	call uint32
	o    *object // nil for operations without one
	in   Reader
	out  *Writer
}

// operation is what there is to an Op.
type operation struct {
	kind Kind // of the object; 0 if there is none
	f    func(x *exec) error
	// alone says that it may be answered later, so that it cannot be part of a batch.
	alone bool
}

var operations [256]operation

// define fills in the operations of a kind of object.
func define(k Kind, all map[Op]func(x *exec) error, alone ...Op) {
	for op, f := range all {
		operations[op] = operation{kind: k, f: f}
	}
	for _, op := range alone {
		operations[op].alone = true
	}
}

// Do does what a request of a client says, and appends the answer to w, unless that comes later
// or nobody wants it.
func (s *Store) Do(c *Client, call uint32, request []byte, w *Writer) {
	at := len(w.B)
	w.begin(call)
	w.B = append(w.B, isResult)
	s.mu.Lock()
	err := s.do(c, call, request, w)
	s.sweep()
	s.mu.Unlock()
	switch {
	case call == 0, errors.Is(err, errLater):
		w.B = w.B[:at]
	case err != nil:
		w.B = w.B[:at]
		w.answer(call, err, nil)
	default:
		w.at = at
		w.End()
	}
}

func (s *Store) do(c *Client, call uint32, request []byte, w *Writer) error {
	if c.gone {
		return ErrGone
	}
	s.x = exec{s: s, c: c, call: call, in: Reader{b: request}, out: w}
	err := s.x.do(false)
	s.x = exec{}
	return err
}

// do does what x.in says.
func (x *exec) do(inBatch bool) error {
	if !x.in.More() {
		return errMalformed
	}
	op := &operations[x.in.b[0]]
	x.in.b = x.in.b[1:]
	id := x.in.Uint()
	switch {
	case x.in.bad:
		return errMalformed
	case op.f == nil, inBatch && op.alone:
		return errUnknownOp
	case op.kind != 0:
		if x.o = x.s.objects[id]; x.o == nil {
			return ErrGone
		}
		if x.o.kind != op.kind {
			return fmt.Errorf("%w: it is a %v, and no %v", ErrKind, x.o.kind, op.kind)
		}
	}
	return op.f(x)
}

// unlessFailed takes back from the client the objects that it was to be shown, if there is an error
// in the place of that.
func (x *exec) unlessFailed(shown []uint64, err error) error {
	if err != nil {
		for _, id := range shown {
			x.s.takeBack(x.c, id, 1)
		}
	}
	return err
}

// The first byte of an answer.
const (
	isResult = 0
	isError  = 1
)

// answer appends an answer.
func (w *Writer) answer(call uint32, err error, result func(w *Writer)) {
	w.begin(call)
	if err != nil {
		w.B = errtree.Append(append(w.B, isError), err)
	} else {
		w.B = append(w.B, isResult)
		if result != nil {
			result(w)
		}
	}
	w.End()
}

// Fail appends an answer that is an error.
func (w *Writer) Fail(call uint32, err error) { w.answer(call, err, nil) }

// Answer takes an answer apart: the results, or the error.
func Answer(b []byte) (*Reader, error) {
	if len(b) == 0 {
		return nil, errMalformed
	}
	if b[0] == isResult {
		return NewReader(b[1:]), nil
	}
	return nil, errtree.Decode(b[1:])
}
