package store

import "context"

// dictChangeAll reads a function, and then keys with arguments, and changes the value of each key.
// Each key is changed atomically. The lock is taken once for many keys.
func dictChangeAll(x *exec) error {
	f, err := x.function()
	if err != nil {
		return err
	}
	todo := append([]byte(nil), x.in.Rest()...)
	for in := NewReader(todo); in.More(); {
		in.Bytes()
		if in.Bytes(); in.bad {
			return errMalformed
		}
	}
	all := &changeAll{s: x.s, o: x.o, d: x.dict(), f: f, c: x.c, todo: NewReader(todo)}
	return x.run(len(todo), func(ctx context.Context) outcome {
		return outcome{err: all.run(ctx), result: func(*pending, *Writer) error { return nil }}
	})
}

// keyChange is a change to one key's value.
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
	c *Client

	todo *Reader     // keys and arguments that have not been read yet
	some []keyChange // the next changes
}

// Bounds on how many keys are looked up, and how many bytes of values are copied, each time the
// lock is taken. At least one value is copied.
const (
	atATime      = 256
	bytesAtATime = 1 << 20
)

func (a *changeAll) run(ctx context.Context) error {
	for {
		for len(a.some) < atATime && a.todo.More() {
			a.some = append(a.some, keyChange{key: string(a.todo.Bytes()), arg: a.todo.Bytes()})
		}

		if len(a.some) == 0 {
			return nil
		}
		n, lent, err := a.look(ctx)
		if err != nil {
			return err
		}
		now := a.some[:n]
		again, err := a.change(ctx, now)
		for i := range now {
			a.s.functions.Taken(now[i].new)
			now[i].old, now[i].new = nil, nil
		}

		a.s.giveBack(a.c, lent)
		if err != nil {
			return err
		}
		for i := range again {
			again[i].old, again[i].new = nil, nil
		}

		a.some = append(again, a.some[n:]...)
	}
}

// change computes new values and stores them. It returns the keys whose values were changed by
// other means in the meantime.
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

// look copies the values of the first n keys, and returns n and the number of bytes that it
// borrowed for these values.
func (a *changeAll) look(ctx context.Context) (n, lent int, err error) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()

	for {
		first, all := a.sizes()
		if lent, err = a.s.lend(ctx, a.c, min(max(first, bytesAtATime), all)); err != nil {
			return 0, 0, err
		}
		if a.o.gone {
			a.s.takeBackLent(a.c, lent)
			return 0, 0, ErrGone
		}

		if first, _ = a.sizes(); first <= lent {
			return a.copy(lent), lent, nil
		}
		a.s.takeBackLent(a.c, lent) // the values changed while lend waited
	}
}

// sizes returns the size of the first value that exists, and the size of all values.
func (a *changeAll) sizes() (first, all int) {
	for i := range a.some {
		if e := a.d.at[a.some[i].key]; e != nil {
			if all += len(e.v.b); first == 0 {
				first = len(e.v.b)
			}
		}
	}
	return first, all
}

// copy copies as many values as fit in room, and returns the number of keys done.
func (a *changeAll) copy(room int) (n int) {
	for n = range a.some {
		k := &a.some[n]
		if k.was = a.d.at[k.key]; k.was == nil {
			continue
		}
		if room -= len(k.was.v.b); room < 0 {
			return n
		}
		k.version, k.old = k.was.version, append([]byte{}, k.was.v.b...)
	}
	return len(a.some)
}

// put stores new values, and returns the keys whose values were changed by other means in the
// meantime.
func (a *changeAll) put(some []keyChange) (again []keyChange, err error) {
	s := a.s
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.sweep()
	s.acts = a.c
	defer func() { s.acts = nil }()
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
