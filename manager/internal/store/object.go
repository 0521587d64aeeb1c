package store

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
)

// Operations without an object, or on any kind of object. The comments list the arguments and,
// after a colon, the results.
const (
	OpPing    Op = iota + 1
	OpNew        // kind, shape, name, contents: ID, whether it is new
	OpHold       // ID of an object that the client uses once more
	OpRelease    // ID, how many uses fewer
	OpPin        // ID, whether a proxy was sent on
	OpCancel     // ID of a call
	OpBatch      // number of requests, the requests: an answer for each
	OpForget     // name: whether there was an object with that name
	OpStats
)

// ErrKind is returned when an object is used as if it were of a different kind.
var ErrKind = errors.New("manager: the object is of another kind or type")

func init() {
	define(0, map[Op]func(x *exec) error{
		OpPing:    ping,
		OpNew:     newObject,
		OpHold:    hold,
		OpRelease: release,
		OpPin:     pin,
		OpCancel:  cancelCall,
		OpBatch:   batch,
		OpForget:  forget,
		OpStats:   stats,
	}, OpCancel, OpBatch)
}

func hold(x *exec) error {
	id := x.in.Uint()
	if err := x.roomToHave(id); err != nil {
		return err
	}
	x.s.give(x.c, id)
	return x.in.Err()
}

// roomToHave returns an error if the object is new to the client and the client may not know any
// more objects.
func (x *exec) roomToHave(id uint64) error {
	limit := x.s.limits.Waiting
	if limit > 0 && x.c.has[id] == 0 && hasSize*(len(x.c.has)+1) > limit {
		return fmt.Errorf("%w: one client has %d objects", ErrLimit, len(x.c.has))
	}
	return nil
}

func release(x *exec) error {
	id := x.in.Uint()
	x.s.takeBack(x.c, id, x.in.Int())
	return x.in.Err()
}

func ping(x *exec) error {
	x.out.Bytes(x.s.id[:])
	return x.in.Err()
}

func pin(x *exec) error {
	id, on := x.in.Uint(), x.in.Bool()
	switch {
	case x.c.has[id] == 0:
	case on:
		x.c.pinned[id] = true
	default:
		delete(x.c.pinned, id)
	}
	return x.in.Err()
}

func cancelCall(x *exec) error {
	if p := x.c.calls[uint32(x.in.Uint())]; p != nil {
		x.s.cancel(p)
	}
	return x.in.Err()
}

// makers holds functions that make the bodies of objects from the rest of a request.
var makers = map[Kind]func(x *exec) (body, error){}

func newObject(x *exec) error {
	kind, shape, name := Kind(x.in.Uint()), x.in.Uint(), string(x.in.Bytes())
	if x.in.bad {
		return errMalformed
	}

	if o := x.s.names[name]; o != nil && name != "" {
		if o.kind != kind || o.shape != shape {
			return fmt.Errorf("%w: %q is a %v, of other types or not", ErrKind, short(name), o.kind)
		}
		if err := x.roomToHave(o.id); err != nil {
			return err
		}
		x.s.give(x.c, o.id)
		x.out.Uint(o.id)
		x.out.Bool(false)
		return nil
	}

	if err := x.s.room(objectSize + hasSize + sizeOfName(name)); err != nil {
		return err
	}
	if kind == KindOwn && x.batch {
		return errUnknownOp
	}
	if kind == KindOwn {
		return x.makeOwn(shape, name)
	}

	maker := makers[kind]
	if maker == nil {
		return errUnknownOp
	}

	o, err := x.s.add(kind, shape)
	if err != nil {
		return err
	}
	x.s.give(x.c, o.id)
	x.o = o
	if o.body, err = maker(x); err == nil {
		err = x.in.Err()
	}
	if err != nil {
		if o.body == nil {
			o.body = &waitGroup{} // it has no contents
		}
		x.s.takeBack(x.c, o.id, 1)
		return err
	}

	if err := x.s.name(o, name); err != nil { // the contents may have used up the room
		x.s.takeBack(x.c, o.id, 1)
		return err
	}
	x.out.Uint(o.id)
	x.out.Bool(true)
	return nil
}

// add adds an object. The caller must give it a body and a reference at once.
func (s *Store) add(kind Kind, shape uint64) (*object, error) {
	if limit := s.limits.Objects; limit > 0 && len(s.objects) >= limit {
		return nil, fmt.Errorf("%w: %d objects", ErrLimit, limit)
	}
	if err := s.room(objectSize); err != nil {
		return nil, err
	}
	o := &object{id: s.newNumber(), kind: kind, shape: shape}
	s.objects[o.id] = o
	s.bytes += objectSize
	return o, nil
}

// newNumber returns the ID of a new object. IDs are random, since a client can use any object whose
// ID it knows, and must not be able to guess other IDs.
func (s *Store) newNumber() uint64 {
	for {
		if n := s.number(); n != 0 && s.objects[n] == nil {
			return n
		}
	}
}

// randomNumber returns a number that cannot be guessed.
func randomNumber() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

// name gives an object a name, which counts as a reference.
func (s *Store) name(o *object, name string) error {
	if name == "" {
		return nil
	}
	if err := s.room(sizeOfName(name)); err != nil {
		return err
	}
	s.bytes += sizeOfName(name)
	o.name = name
	s.names[name] = o
	o.refs++
	return nil
}

func sizeOfName(name string) int {
	if name == "" {
		return 0
	}
	return nameSize + len(name)
}

func forget(x *exec) error {
	name := string(x.in.Bytes())
	o := x.s.names[name]
	x.out.Bool(o != nil)
	if o != nil {
		delete(x.s.names, name)
		o.name = ""
		x.s.bytes -= sizeOfName(name)
		x.s.unref(o.id)
	}
	return x.in.Err()
}

func stats(x *exec) error {
	st := x.s.count()
	for _, n := range []int{st.Clients, st.Objects, st.Bytes, st.Waiting, st.WaitingBytes} {
		x.out.Int(n)
	}
	return x.in.Err()
}

// batch performs requests one after another, without requests of other clients in between. If a
// request fails, batch still performs the others. If the message has no room for the answer to a
// request, that answer is empty and the request is not performed.
func batch(x *exec) error {
	all := x.in
	x.batch = true
	most := len(x.out.B) + maxRepeated
	if x.out.most > 0 {
		most = min(most, x.out.most)
	}

	for left := all.Count(); left > 0; left-- {
		x.o, x.in = nil, Reader{b: all.Bytes()}
		if all.bad {
			return errMalformed
		}
		x.out.most, x.out.full = most-left, false
		at := x.out.Open()
		if len(x.out.B)+slack < x.out.most {
			if err := x.oneOfBatch(at); err != nil {
				return err
			}
		}
		x.out.Close(at)
	}

	x.out.full = false
	x.in = all
	return x.in.Err()
}

// errorSteps is how many steps encoding an error counts as.
const errorSteps = 64

// oneOfBatch performs one request of a batch. The answer begins at at. A malformed request ends the
// batch.
func (x *exec) oneOfBatch(at int) error {
	x.out.B = append(x.out.B, isResult)
	err := x.do()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errMalformed):
		return err
	}
	x.steps += errorSteps
	x.out.B = appendError(x.out.B[:at+1], err)
	if len(x.out.B) > x.out.most {
		x.out.B = x.out.B[:at+1]
	}
	return nil
}
