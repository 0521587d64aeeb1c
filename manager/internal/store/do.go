package store

import (
	"errors"
	"fmt"
	"hash/fnv"
	"sync"

	"github.com/go-multiprocessing/mp/internal/errtree"
)

// A Kind is the kind of an object.
type Kind byte

// The kinds of objects.
const (
	KindDict Kind = iota + 1
	KindList
	KindSet
	KindValue
	KindQueue
	KindLock // for one writer or several readers
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

// Shape returns a hash of a kind of object and of the shapes of the types that it contains.
func Shape(k Kind, types ...uint64) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, byte(k), types)
	return h.Sum64()
}

// An Op is the operation that a request asks for.
type Op byte

// exec is a request that is being performed.
type exec struct {
	s    *Store
	c    *Client
	call uint32
	o    *object // nil for operations without one
	in   Reader
	out  *Writer

	shown []uint64 // objects that the client has been told of
	steps int      // steps of work so far
	named int      // keys and elements so far, weighted by their cost
	batch bool
	hasty bool // whether it must not take a long time
}

// operation describes an Op.
type operation struct {
	kind Kind // of the object; 0 if there is none
	f    func(x *exec) error
	// alone means that the request may be answered later, so it cannot be part of a batch.
	alone bool
	// whole means that the operation goes through everything in the object.
	whole bool
	// shortAnswer means that the answer has at most maxShortAnswer bytes, even if it is an error.
	shortAnswer bool
	// compares means that the operation compares everything in the object with the rest of the
	// request.
	compares bool
}

var operations [256]operation

// define registers the operations of a kind of object.
func define(k Kind, all map[Op]func(x *exec) error, alone ...Op) {
	for op, f := range all {
		operations[op] = operation{kind: k, f: f}
	}
	for _, op := range alone {
		operations[op].alone = true
	}
}

// whole marks operations that go through everything in the object.
func whole(ops ...Op) {
	for _, op := range ops {
		operations[op].whole = true
	}
}

// shortAnswers marks operations with brief answers.
func shortAnswers(ops ...Op) {
	for _, op := range ops {
		operations[op].shortAnswer = true
	}
}

// A batch of at most maxShortBatch operations with brief answers has a short answer, for which
// there is always room.
const (
	maxShortAnswer = 512
	maxShortBatch  = 64
)

// hasShortAnswer reports whether the answer to a batch is certain to be short.
func hasShortAnswer(request []byte) bool {
	in := Reader{b: request[1:]}
	in.Uint() // the object, which a batch does not have
	n := in.Count()
	if n > maxShortBatch {
		return false
	}
	for range n {
		if b := in.Bytes(); len(b) == 0 || !operations[b[0]].shortAnswer {
			return false
		}
	}
	return !in.bad
}

// compares marks operations that compare everything in the object with the rest of the request.
func compares(ops ...Op) {
	for _, op := range ops {
		operations[op].compares = true
	}
}

// sized is a body with many elements.
type sized interface{ size() int }

// maxSteps limits the work of a batch to about 20 ms, since all other clients wait meanwhile.
const maxSteps = 4 << 20

// maxAlone limits the work of a request outside a batch to about 300 ms. Only an object of several
// gigabytes needs more.
const maxAlone = 64 << 20

// maxElements bounds the elements and keys that a single request names, or that all requests of a
// batch name together. Putting a million elements into a list takes about 200 ms. Putting a key
// into a dict or set takes several times as long as putting an element into a list, so a key counts
// for keyCost.
const (
	maxElements = 1 << 20
	keyCost     = 4
)

// work counts n steps, and returns an error if that makes too many.
func (x *exec) work(n int) error {
	x.steps += n
	switch {
	case x.batch && x.steps > maxSteps && x.steps > n:
		return errTooMuchWork
	case x.steps > maxAlone:
		return errTooLarge
	}
	return nil
}

// count counts keys and elements by their cost, and returns an error if that makes too many.
func (x *exec) count(cost int) error {
	x.named += cost
	switch {
	case x.named > maxElements:
		x.named -= cost // this request is not performed, and a later one in the batch may still fit
		return errTooMany
	case x.hasty && !x.batch && x.named > fewElements:
		return errHeavy
	}
	return nil
}

// A request above one of these bounds takes several milliseconds, so it is not performed at once.
const (
	fewElements = 1 << 14
	fewSteps    = 1 << 19
	longBatch   = 64 << 10 // bytes
)

// countRest counts the keys or elements that have yet to be read, each of which has the given
// number of byte strings and the given cost. It returns their number, and the total size of the
// strings. Operations call countRest first, so that a request for too much work is refused before
// any of the work is done.
func (x *exec) countRest(strings, cost int) (n, size int, err error) {
	in, most := x.in, (maxElements-x.named)/cost
	for ; in.More() && n <= most; n++ {
		for range strings {
			size += len(in.Bytes())
		}
	}
	if in.bad {
		return 0, 0, errMalformed
	}
	return n, size, x.count(n * cost)
}

// countMany is like countRest, but skips requests that are certain to be small.
func (x *exec) countMany(strings, cost int) error {
	if !x.batch && len(x.in.b) <= strings*fewElements/cost {
		return nil
	}
	_, _, err := x.countRest(strings, cost)
	return err
}

var (
	errTooMuchWork = fmt.Errorf("%w: the batch is too much work: ask for less at a time", ErrLimit)
	errTooMany     = fmt.Errorf("%w: a request names at most %d elements, and %d keys to be put in: use several, with fewer each", ErrLimit, maxElements, maxElements/keyCost)
	errTooLarge    = fmt.Errorf("%w: the object is too large for an operation that goes through all of it", ErrLimit)
)

// maxRepeated bounds, in bytes, the answer to a request that can ask for the same value many
// times.
const maxRepeated = 256 << 20

var errTooMuch = fmt.Errorf("%w: the answer is longer than a message may be: ask for less at a time", ErrLimit)

// slack is an upper bound on the size of an answer without its value.
const slack = 64

// fits returns an error if a value of n bytes is too large for an answer to a client.
func (s *Store) fits(c *Client, n int) error {
	if c.most > 0 && n+slack > c.most {
		return errTooMuch
	}
	return nil
}

// fitsBytes returns an error if there is no room for n bytes in the answer.
func (x *exec) fitsBytes(n int) error {
	if x.out.most > 0 && len(x.out.B)+n+slack > x.out.most {
		return errTooMuch
	}
	return nil
}

// A Verdict says whether a request was performed. If it was not, nothing has changed, and it can be
// tried again.
type Verdict byte

// The verdicts.
const (
	Done   Verdict = iota
	Heavy          // it would take a long time
	NoRoom         // the client's Account has no room for the answer; wait for room for the longest answer
)

// Do performs a request of a client. It appends the answer to w, unless the answer comes later or
// the request wants no answer. The verdict is never Heavy.
func (s *Store) Do(c *Client, call uint32, request []byte, w *Writer) Verdict {
	return s.doOr(c, call, request, w, false)
}

// DoSoon is like Do, but refuses a request that would take a long time: the verdict is then Heavy.
func (s *Store) DoSoon(c *Client, call uint32, request []byte, w *Writer) Verdict {
	return s.doOr(c, call, request, w, true)
}

func (s *Store) doOr(c *Client, call uint32, request []byte, w *Writer, hasty bool) Verdict {
	isBatch := len(request) > 0 && Op(request[0]) == OpBatch
	if hasty && isBatch && len(request) > longBatch {
		return Heavy
	}

	at := len(w.B)
	w.begin(call)
	w.B = append(w.B, isResult)
	w.most, w.full = 0, false
	if c.most > 0 {
		w.most = at + c.most
	}

	s.mu.Lock()
	var err error
	short := c.account != nil && c.reserve(w, at)
	if short && isBatch && !hasShortAnswer(request) { // only part of the batch would be performed
		err = errNoRoom
	} else {
		err = s.do(c, call, request, w, hasty)
	}
	if short && errors.Is(err, errTooMuch) {
		err = errNoRoom
	}
	if err == nil && call != 0 && c.account != nil {
		c.account.Charge(len(w.B) - at)
	}

	s.sweep()
	s.mu.Unlock()
	w.most = 0
	switch {
	case errors.Is(err, errHeavy):
		w.B = w.B[:at]
		return Heavy
	case errors.Is(err, errNoRoom):
		w.B = w.B[:at]
		return NoRoom
	case call == 0, errors.Is(err, errLater):
		w.B = w.B[:at]
	case err != nil:
		w.B = w.B[:at]
		w.answer(call, err, nil)
	default:
		w.at = at
		w.End()
	}

	return Done
}

// These errors stand for the verdicts other than Done while a request is being performed.
var (
	errHeavy  = errors.New("heavy")
	errNoRoom = errors.New("no room")
)

// reserve limits an answer to the room in the client's Account, and reports whether that room is
// less than the longest answer may need.
func (c *Client) reserve(w *Writer, at int) (short bool) {
	if room := c.account.Room(); room < c.most {
		w.most, short = at+room, true
	}
	return short
}

func (s *Store) do(c *Client, call uint32, request []byte, w *Writer, hasty bool) error {
	if c.gone {
		return ErrGone
	}
	s.x = exec{s: s, c: c, call: call, in: Reader{b: request}, out: w, shown: s.x.shown[:0], hasty: hasty}
	s.acts = c
	err := s.x.do()
	s.acts = nil
	if cap(s.x.shown) > 1000 {
		s.x.shown = nil
	}
	s.x = exec{shown: s.x.shown}
	return err
}

// do performs the request x.in. On error the client has not been told of any objects.
func (x *exec) do() error {
	before := len(x.shown)
	err := x.tryDo()
	if err == nil && x.out.full {
		err = errTooMuch
	}
	if err != nil && !errors.Is(err, errLater) {
		for _, id := range x.shown[before:] {
			x.s.takeBack(x.c, id, 1)
		}
		x.shown = x.shown[:before]
	}
	return err
}

func (x *exec) tryDo() error {
	switch {
	case !x.in.More():
		return errMalformed
	case x.batch && x.steps > maxSteps:
		return errTooMuchWork
	}

	op := &operations[x.in.b[0]]
	x.in.b = x.in.b[1:]
	id := x.in.Uint()
	switch {
	case x.in.bad:
		return errMalformed
	case op.f == nil, x.batch && op.alone:
		return errUnknownOp
	case op.kind != 0:
		if x.o = x.s.objects[id]; x.o == nil {
			return ErrGone
		}
		if x.o.kind != op.kind {
			return fmt.Errorf("%w: it is a %v, and no %v", ErrKind, x.o.kind, op.kind)
		}
	}

	if x.hasty && !x.batch && op.whole && x.o.body.(sized).size() > fewSteps {
		return errHeavy
	}
	if err := x.work(x.stepsOf(op)); err != nil {
		return err
	}

	return op.f(x)
}

// stepsOf returns the number of steps of an operation, as far as the number is known in advance.
// Outside a batch, the steps of an operation that merely goes through an object do not count; if
// they did, a large object could not even be emptied. The answers of these operations are bounded
// by the size of a message.
func (x *exec) stepsOf(op *operation) int {
	steps := 1
	switch {
	case op.compares:
		n := x.o.body.(sized).size()
		// Only elements of equal length are compared, so no more bytes are compared than the store
		// has.
		steps += n + min((1+n)*(len(x.in.b)/64), x.s.bytes/64)
	case op.whole && x.batch:
		steps += x.o.body.(sized).size()
	}
	return steps
}

// The first byte of an answer.
const (
	isResult = 0
	isError  = 1
)

// fixed caches the encodings of frequent errors, since encoding one takes longer than most
// requests.
var fixed []fixedError

type fixedError struct {
	err     error
	encoded func() []byte
}

func init() {
	for _, err := range []error{ErrGone, ErrKind, errMalformed, errUnknownOp, errTooMuch, errTooMuchWork, errTooMany, errTooLarge, ErrCanceled} {
		fixed = append(fixed, fixedError{err, sync.OnceValue(func() []byte { return errtree.Append(nil, err) })})
	}
}

// appendError appends an encoded error.
func appendError(b []byte, err error) []byte {
	b = append(b, isError)
	for i := range fixed {
		if fixed[i].err == err { //nolint:errorlint // only the error itself has that encoding
			return append(b, fixed[i].encoded()...)
		}
	}
	return errtree.Append(b, err)
}

// answer appends an answer.
func (w *Writer) answer(call uint32, err error, result func(w *Writer)) {
	w.begin(call)
	if err != nil {
		w.B = appendError(w.B, err)
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

// Answer decodes an answer. It returns the results or the error.
func Answer(b []byte) (*Reader, error) {
	if len(b) == 0 {
		return nil, errMalformed
	}
	if b[0] == isResult {
		return NewReader(b[1:]), nil
	}
	return nil, errtree.Decode(b[1:])
}

// Operations returns all operations. A test that attacks every operation uses it, so that the test
// covers new operations.
func Operations() (all []Op) {
	for i := range operations {
		if operations[i].f != nil {
			all = append(all, Op(i))
		}
	}
	return all
}
