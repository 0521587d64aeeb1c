package store

import "bytes"

// Operations of values. The comments list the arguments and, after a colon, the results.
const (
	OpValueLoad   Op = iota + 90 // : value
	OpValueStore                 // value
	OpValueSwap                  // value: the old one
	OpValueCAS                   // old, value: whether it was set
	OpValueChange                // function, shape, argument: true, the value
)

// single is an object that holds one value.
type single struct{ cell }

func (v *single) leave(*Store, *object, *Client) {}
func (v *single) empty(s *Store, o *object)      { v.gone = true; s.drop(o, v.v) }

func init() {
	makers[KindValue] = func(x *exec) (body, error) {
		v := &single{}
		b := x.in.Bytes()
		if err := x.badInput(); err != nil {
			return nil, err
		}
		return v, v.set(x.s, x.o, b)
	}
	define(KindValue, map[Op]func(x *exec) error{
		OpValueLoad:   func(x *exec) error { x.value(x.single().v); return x.in.Err() },
		OpValueStore:  func(x *exec) error { return x.store(false) },
		OpValueSwap:   func(x *exec) error { return x.store(true) },
		OpValueCAS:    valueCAS,
		OpValueChange: valueChange,
	}, OpValueChange)
}

func (x *exec) single() *single { return x.o.body.(*single) }

// store reads a value and stores it. If show is set, store first writes the old value.
func (x *exec) store(show bool) error {
	b := x.in.Bytes()
	if err := x.in.Err(); err != nil {
		return err
	}
	if show {
		if err := x.fitsBytes(len(x.single().v.b)); err != nil {
			return err
		}
		x.value(x.single().v)
	}
	return x.single().set(x.s, x.o, b)
}

func valueCAS(x *exec) error {
	old, b := x.in.Bytes(), x.in.Bytes()
	if err := x.in.Err(); err != nil {
		return err
	}
	same := bytes.Equal(x.single().v.b, old)
	x.out.Bool(same)
	if !same {
		return nil
	}
	return x.single().set(x.s, x.o, b)
}

func valueChange(x *exec) error {
	f, err := x.function()
	if err != nil {
		return err
	}
	c := &x.single().cell
	return x.change(f, place{find: func() (*cell, error) { return c, nil }})
}
