package store

import "context"

// dictChangeAll reads a function, and then keys with arguments, and has it change the value of each. One
// key is a step; many of them are done between two looks at the lock.
func dictChangeAll(x *exec) error {
	f, err := x.function()
	if err != nil {
		return err
	}
	var todo []keyChange
	for x.in.More() {
		todo = append(todo, keyChange{key: string(x.in.Bytes()), arg: append([]byte(nil), x.in.Bytes()...)})
	}
	if err := x.in.Err(); err != nil {
		return err
	}
	all := &changeAll{s: x.s, o: x.o, d: x.dict(), f: f}
	return x.run(func(ctx context.Context) outcome {
		return outcome{err: all.run(ctx, todo), result: func(*pending, *Writer) error { return nil }}
	})
}

// keyChange is the change of one key.
type keyChange struct {
	key      string
	arg      []byte
	was      *entry
	version  uint64
	old, new []byte
	remove   bool
}

// changeAll is a change of many keys of a dict.
type changeAll struct {
	s *Store
	o *object
	d *dict
	f changer
}

// atATime is how many keys are looked at under the lock.
const atATime = 256

func (a *changeAll) run(ctx context.Context, todo []keyChange) error {
	for len(todo) > 0 {
		some := todo[:min(len(todo), atATime)]
		if err := a.look(some); err != nil {
			return err
		}
		again, err := a.change(ctx, some)
		for _, k := range some {
			a.s.functions.Taken(k.new)
		}
		if err != nil {
			return err
		}
		copy(todo[len(some)-len(again):], again)
		todo = todo[len(some)-len(again):]
	}
	return nil
}

// change makes new values and puts them there, and returns those that have changed meanwhile.
func (a *changeAll) change(ctx context.Context, some []keyChange) (again []keyChange, err error) {
	for i := range some {
		k := &some[i]
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if k.new, k.remove, err = a.f(ctx, k.old, k.arg); err != nil {
			return nil, err
		}
	}
	return a.put(some)
}

// look notes what is there.
func (a *changeAll) look(some []keyChange) error {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	if a.o.gone {
		return ErrGone
	}
	for i := range some {
		k := &some[i]
		k.was, k.old, k.new = a.d.at[k.key], nil, nil
		if k.was != nil {
			k.version, k.old = k.was.version, append([]byte{}, k.was.v.b...)
		}
	}
	return nil
}

// put puts new values there, and returns those that have changed meanwhile.
func (a *changeAll) put(some []keyChange) (again []keyChange, err error) {
	s := a.s
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.sweep()
	if a.o.gone {
		return nil, ErrGone
	}
	for _, k := range some {
		e := a.d.at[k.key]
		switch {
		case e != k.was || e != nil && e.version != k.version:
			again = append(again, k)
		case k.remove && e != nil:
			a.d.remove(s, a.o, e)
		case k.remove:
		default:
			err = a.d.set(s, a.o, []byte(k.key), k.new)
		}
		if err != nil {
			return nil, err
		}
	}
	return again, nil
}
