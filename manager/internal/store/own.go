package store

import (
	"context"
	"io"
)

// Operations of the program's own types. The comments list the arguments and, after a colon, the
// results.
const (
	OpInvoke Op = iota + 200 // method, shape, argument: result
)

// own is an object of a registered type.
type own struct{ v any }

func (o *own) leave(*Store, *object, *Client) {}

// empty closes the object if it has a Close method. It calls Close in a goroutine, since Close is
// registered code.
func (o *own) empty(s *Store, _ *object) {
	if c, ok := o.v.(io.Closer); ok {
		s.ending.Go(func() { _ = shielded(c.Close) })
	}
}

func init() {
	define(KindOwn, map[Op]func(x *exec) error{OpInvoke: invoke}, OpInvoke)
}

// makeOwn makes an object with a registered function.
func (x *exec) makeOwn(shape uint64, name string) error {
	typeName, arg := string(x.in.Bytes()), append([]byte(nil), x.in.Bytes()...)
	if err := x.in.Err(); err != nil {
		return err
	}

	f, err := x.s.functions.Make(typeName, shape)
	if err != nil {
		return err
	}

	s := x.s
	return x.run(len(typeName)+len(arg)+len(name), func(ctx context.Context) outcome {
		v, err := f(ctx, arg)
		return outcome{
			err: err,
			result: func(p *pending, w *Writer) error {
				o, fresh, err := s.addOwn(shape, name, v)
				if err != nil {
					return err
				}
				s.give(p.c, o.id)
				w.Uint(o.id)
				w.Bool(fresh)
				return nil
			},
			inVain: func() { (&own{v}).empty(s, nil) },
		}
	})
}

// addOwn makes an object of v. If another client has made an object with that name meanwhile,
// addOwn returns that object instead.
func (s *Store) addOwn(shape uint64, name string, v any) (o *object, fresh bool, err error) {
	if o := s.names[name]; o != nil && name != "" {
		(&own{v}).empty(s, nil)
		if o.kind != KindOwn || o.shape != shape {
			return nil, false, ErrKind
		}
		return o, false, nil
	}

	if err := s.room(objectSize + hasSize + sizeOfName(name)); err != nil {
		(&own{v}).empty(s, nil)
		return nil, false, err
	}

	if o, err = s.add(KindOwn, shape); err != nil {
		(&own{v}).empty(s, nil)
		return nil, false, err
	}
	o.body = &own{v}
	return o, true, s.name(o, name)
}

func invoke(x *exec) error {
	method, shape, arg := string(x.in.Bytes()), x.in.Uint(), append([]byte(nil), x.in.Bytes()...)
	if err := x.in.Err(); err != nil {
		return err
	}

	f, err := x.s.functions.Method(x.o.body.(*own).v, method, shape)
	if err != nil {
		return err
	}

	s := x.s
	return x.run(len(method)+len(arg), func(ctx context.Context) outcome {
		b, err := f(ctx, arg)
		return outcome{
			err: err,
			result: func(p *pending, w *Writer) error {
				for _, id := range s.refsIn(b) {
					s.give(p.c, id)
				}
				w.Bytes(b)
				return nil
			},
			after: func() { s.functions.Taken(b) },
		}
	})
}

// outcome is the outcome of registered code.
type outcome struct {
	err    error
	result func(p *pending, w *Writer) error // writes the result, with the lock held; called if err is nil
	inVain func()                            // cleans up, with the lock held, if no client gets the result; may be nil
	after  func()                            // called after the answer; may be nil
}

// run runs registered code in a goroutine of its own, and answers with its result. size is the
// number of bytes of the request that count toward the size of the call.
func (x *exec) run(size int, f func(ctx context.Context) outcome) error {
	s, over := x.s, false
	var p *pending
	finish := func(o outcome, returned bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.acts = p.c
		defer func() { s.acts = nil }()
		var w Writer
		switch {
		case o.err == nil && (over || p.c.gone):
			if o.inVain != nil {
				o.inVain()
			}
		case o.err == nil:
			o.err = o.result(p, &w)
		}

		if !over {
			over = true
			s.answer(p, o.err, func(out *Writer) { out.B = append(out.B, w.B...) })
		}
		if returned {
			s.returned(p)
		}
		s.sweep()
	}

	ctx, p, err := x.begin(runSize+size, func(err error) { finish(outcome{err: err}, false) })
	if err != nil {
		return err
	}

	p.began = true
	go func() {
		defer p.stop()
		o := f(ctx)
		finish(o, true)
		if o.after != nil {
			o.after()
		}
	}()

	return errLater
}

// shielded calls f and ignores a panic.
func shielded(f func() error) (err error) {
	defer func() { _ = recover() }()
	return f()
}
