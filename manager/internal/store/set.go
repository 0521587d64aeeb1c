package store

import "slices"

// Operations of sets, whose elements keep the order in which they were added. The comments list the
// arguments and, after a colon, the results.
const (
	OpSetAdd    Op = iota + 70 // elements: how many are new
	OpSetRemove                // elements: how many existed
	OpSetHas                   // element: whether it exists
	OpSetPop                   // : whether there was one, the oldest
	OpSetLen
	OpSetClear
	OpSetScan      // cursor, bytes: next cursor, elements; none at the end
	OpSetUnion     // set: how many are new
	OpSetIntersect // set: how many were removed
	OpSetSubtract  // set: how many were removed
)

type set struct{ entries }

func (d *set) leave(*Store, *object, *Client) {}
func (d *set) empty(s *Store, o *object)      { d.clear(s, o) }
func (d *set) size() int                      { return len(d.order) }

func init() {
	makers[KindSet] = func(x *exec) (body, error) {
		d := &set{newEntries()}
		_, err := d.add(x)
		return d, err
	}

	define(KindSet, map[Op]func(x *exec) error{
		OpSetAdd:       setAdd,
		OpSetRemove:    func(x *exec) error { return x.set().delete(x) },
		OpSetHas:       func(x *exec) error { return x.set().has(x) },
		OpSetPop:       setPop,
		OpSetLen:       func(x *exec) error { return x.set().len(x) },
		OpSetClear:     func(x *exec) error { x.set().clear(x.s, x.o); return x.in.Err() },
		OpSetScan:      func(x *exec) error { return x.set().scan(x, false) },
		OpSetUnion:     setUnion,
		OpSetIntersect: func(x *exec) error { return x.keepWhere(true) },
		OpSetSubtract:  func(x *exec) error { return x.keepWhere(false) },
	})

	whole(OpSetClear, OpSetScan, OpSetUnion, OpSetIntersect, OpSetSubtract)
	shortAnswers(OpSetRemove, OpSetHas, OpSetLen)
}

func (x *exec) set() *set { return x.o.body.(*set) }

// add adds the elements that have yet to be read, up to the first for which there is no room.
func (d *set) add(x *exec) (fresh int, err error) {
	if err := x.countMany(1, keyCost); err != nil {
		return 0, err
	}

	for x.in.More() {
		b := x.in.Bytes()
		if x.in.bad {
			return fresh, errMalformed
		}
		if d.at[string(b)] != nil {
			continue
		}
		if err := d.set(x.s, x.o, b, nil); err != nil {
			return fresh, err
		}
		fresh++
	}

	return fresh, nil
}

func (x *exec) added(n int, err error) error {
	if err == nil {
		x.out.Int(n)
	}
	return err
}

func setAdd(x *exec) error { return x.added(x.set().add(x)) }

func setPop(x *exec) error {
	d := x.set()
	e := d.first()
	if err := x.fits(e); err != nil {
		return err
	}
	x.out.Bool(e != nil)
	if e != nil {
		x.out.Bytes([]byte(e.key))
		d.remove(x.s, x.o, e)
	}
	return x.in.Err()
}

// other reads the ID of another set and returns the set.
func (x *exec) other() (*set, error) {
	o := x.s.objects[x.in.Uint()]
	if err := x.in.Err(); err != nil {
		return nil, err
	}
	if o == nil {
		return nil, ErrGone
	}
	d, ok := o.body.(*set)
	if !ok || o.shape != x.o.shape {
		return nil, ErrKind
	}
	return d, x.work(d.size())
}

func setUnion(x *exec) error {
	other, err := x.other()
	if err != nil {
		return err
	}

	if err := x.count(keyCost * len(other.at)); err != nil {
		return err
	}
	d, n := x.set(), 0
	for _, e := range slices.Clone(other.order) {
		if e.gone || d.at[e.key] != nil {
			continue
		}
		if err := d.set(x.s, x.o, []byte(e.key), nil); err != nil {
			return err
		}
		n++
	}

	x.out.Int(n)
	return nil
}

// keepWhere keeps the elements that another set has if has is true, or the elements that it lacks
// if has is false.
func (x *exec) keepWhere(has bool) error {
	other, err := x.other()
	if err != nil {
		return err
	}
	d, n := x.set(), 0
	if err := x.count(len(d.at)); err != nil {
		return err
	}

	for _, e := range slices.Clone(d.order) {
		if !e.gone && (other.at[e.key] != nil) != has {
			d.remove(x.s, x.o, e)
			n++
		}
	}

	x.out.Int(n)
	return nil
}
