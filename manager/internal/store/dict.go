package store

import (
	"bytes"
	"slices"
	"sort"
)

// Operations of dicts, whose entries keep the order in which their keys were first set. The
// comments list the arguments and, after a colon, the results.
const (
	OpDictGet      Op = iota + 16 // keys: for each whether it exists, and its value
	OpDictSet                     // keys and values
	OpDictDelete                  // keys: how many existed
	OpDictHas                     // key: whether it exists
	OpDictPop                     // key: as for Get
	OpDictPopFirst                // : whether there is one, value, key
	OpDictGetOrSet                // key, value: whether the key existed, its value if so
	OpDictSwap                    // key, value: as for Get, before the change
	OpDictCAS                     // key, whether it must exist, old, value: whether it was set
	OpDictLen
	OpDictClear
	OpDictScan      // cursor, bytes: next cursor, entries; none at the end
	OpDictChange    // function, shape, key, argument: whether there is a value, the value
	OpDictChangeAll // function, shape, keys and arguments
)

// cell holds a value that a function can change.
type cell struct {
	v       value
	version uint64
	gone    bool
}

// entry is an entry of a dict or set.
type entry struct {
	cell
	key string
	seq uint64
}

// entries holds the entries of a dict or set, by key and in order.
type entries struct {
	at      map[string]*entry
	peak    int      // peak of len(at) since the map was made; needed because a map never shrinks
	order   []*entry // by seq; may still contain entries that are gone
	lastSeq uint64
}

func newEntries() entries { return entries{at: map[string]*entry{}} }

// set sets the value of a key.
func (d *entries) set(s *Store, o *object, key, b []byte) error {
	e := d.at[string(key)]
	if e != nil {
		return e.set(s, o, b)
	}

	if err := s.room(len(key) + keySize + len(b) + valueSize); err != nil {
		return err
	}

	v, err := s.keep(o, b, value{})
	if err != nil {
		return err
	}
	d.lastSeq++
	e = &entry{cell: cell{v: v}, key: string(key), seq: d.lastSeq}
	d.at[e.key] = e
	d.order = append(d.order, e)
	d.peak = max(d.peak, len(d.at))
	s.bytes += len(key) + keySize
	return nil
}

// set gives a cell a value.
func (c *cell) set(s *Store, o *object, b []byte) error {
	if v := &c.v; v.refs == nil && v.holds(len(b)) && len(Refs(b, s.id)) == 0 { // the size does not change
		v.b = append(v.b[:0], b...)
		c.version++
		return nil
	}
	v, err := s.keep(o, b, c.v)
	if err == nil {
		c.v = v
		c.version++
	}
	return err
}

// remove removes an entry.
func (d *entries) remove(s *Store, o *object, e *entry) {
	delete(d.at, e.key)
	d.empty(s, o, e)
	if len(d.order) > 2*len(d.at)+8 {
		d.order = slices.DeleteFunc(d.order, func(e *entry) bool { return e.gone })
	}
	peak := d.peak
	if d.at = smaller(d.at, &d.peak); d.peak < peak {
		d.order = slices.Clone(d.order)
	}
}

// empty releases the contents of an entry. The empty entry may stay in order for a while.
func (d *entries) empty(s *Store, o *object, e *entry) {
	e.gone = true
	s.drop(o, e.v)
	s.bytes -= len(e.key) + keySize
	e.key, e.v = "", value{}
}

func (d *entries) clear(s *Store, o *object) {
	for _, e := range d.order {
		if !e.gone {
			d.empty(s, o, e)
		}
	}
	d.at, d.order, d.peak = map[string]*entry{}, nil, 0
}

// first returns the oldest entry, or nil.
func (d *entries) first() *entry {
	for i, e := range d.order {
		if !e.gone {
			clear(d.order[:i])
			d.order = d.order[i:] // so that the next call does not search again
			return e
		}
	}
	return nil
}

// scan writes entries after a cursor until they have size bytes. If there is an entry, it writes at
// least one.
func (d *entries) scan(x *exec, withValues bool) error {
	cursor, size := x.in.Uint(), x.in.Int()
	if err := x.in.Err(); err != nil {
		return err
	}
	i := sort.Search(len(d.order), func(i int) bool { return d.order[i].seq > cursor })
	if x.out.most > 0 {
		size = min(size, x.out.most) // a longer answer would not fit
	}

	var page []*entry
	for n := 0; i < len(d.order) && (n < size || len(page) == 0); i++ {
		if e := d.order[i]; !e.gone {
			page = append(page, e)
			n += len(e.key) + len(e.v.b) + 1
		}
	}

	if len(page) > 0 {
		cursor = page[len(page)-1].seq
	}
	x.out.Uint(cursor)
	x.out.Uint(uint64(len(page)))
	for _, e := range page {
		x.out.Bytes([]byte(e.key))
		if withValues {
			x.value(e.v)
		}
	}

	return nil
}

type dict struct{ entries }

func (d *dict) leave(*Store, *object, *Client) {}
func (d *dict) empty(s *Store, o *object)      { d.clear(s, o) }
func (d *dict) size() int                      { return len(d.order) }

func init() {
	makers[KindDict] = func(*exec) (body, error) { return &dict{newEntries()}, nil }
	define(KindDict, map[Op]func(x *exec) error{
		OpDictGet:       dictGet,
		OpDictSet:       dictSet,
		OpDictDelete:    func(x *exec) error { return x.dict().delete(x) },
		OpDictHas:       func(x *exec) error { return x.dict().has(x) },
		OpDictPop:       dictPop,
		OpDictPopFirst:  dictPopFirst,
		OpDictGetOrSet:  dictGetOrSet,
		OpDictSwap:      dictSwap,
		OpDictCAS:       dictCAS,
		OpDictLen:       func(x *exec) error { return x.dict().len(x) },
		OpDictClear:     func(x *exec) error { x.dict().clear(x.s, x.o); return x.in.Err() },
		OpDictScan:      func(x *exec) error { return x.dict().scan(x, true) },
		OpDictChange:    dictChange,
		OpDictChangeAll: dictChangeAll,
	}, OpDictChange, OpDictChangeAll)

	whole(OpDictClear, OpDictScan)
	shortAnswers(OpDictSet, OpDictDelete, OpDictHas, OpDictLen)
}

func (x *exec) dict() *dict { return x.o.body.(*dict) }

// show writes whether there is a value, and the value if there is one.
func (x *exec) show(v value, there bool) {
	x.out.Bool(there)
	if there {
		x.value(v)
	}
}

// entry writes whether there is an entry, and its value if there is one.
func (x *exec) entry(e *entry) {
	if e == nil {
		x.show(value{}, false)
	} else {
		x.show(e.v, true)
	}
}

func dictGet(x *exec) error {
	d := x.dict()
	for at := len(x.out.B); ; {
		if err := x.count(1); err != nil {
			return err
		}
		x.entry(d.at[string(x.in.Bytes())])
		if !x.in.More() {
			return x.in.Err()
		}
		if x.out.full || len(x.out.B)-at > maxRepeated {
			return errTooMuch
		}
	}
}

func dictSet(x *exec) error {
	d := x.dict()
	if err := x.countMany(2, keyCost); err != nil {
		return err
	}

	for {
		key, b := x.in.Bytes(), x.in.Bytes()
		if x.in.bad {
			return errMalformed
		}
		if err := d.set(x.s, x.o, key, b); err != nil {
			return err
		}
		if !x.in.More() {
			return nil
		}
	}
}

func (d *entries) delete(x *exec) error {
	if err := x.countMany(1, 1); err != nil {
		return err
	}
	n := 0
	for x.in.More() {
		if e := d.at[string(x.in.Bytes())]; e != nil && !x.in.bad {
			d.remove(x.s, x.o, e)
			n++
		}
	}
	x.out.Int(n)
	return x.in.Err()
}

func (d *entries) has(x *exec) error {
	x.out.Bool(d.at[string(x.in.Bytes())] != nil)
	return x.in.Err()
}

func (d *entries) len(x *exec) error {
	x.out.Int(len(d.at))
	return x.in.Err()
}

func dictPop(x *exec) error {
	key := x.in.Bytes()
	if err := x.in.Err(); err != nil {
		return err
	}
	d := x.dict()
	e := d.at[string(key)]
	if err := x.fits(e); err != nil {
		return err
	}
	x.entry(e)
	if e != nil {
		d.remove(x.s, x.o, e)
	}
	return nil
}

func dictPopFirst(x *exec) error {
	d := x.dict()
	e := d.first()
	if err := x.fits(e); err != nil {
		return err
	}
	x.entry(e)
	if e != nil {
		x.out.Bytes([]byte(e.key))
		d.remove(x.s, x.o, e)
	}
	return x.in.Err()
}

func dictGetOrSet(x *exec) error {
	key, b := x.in.Bytes(), x.in.Bytes()
	if err := x.in.Err(); err != nil {
		return err
	}
	d := x.dict()
	e := d.at[string(key)]
	x.entry(e)
	if e == nil {
		return d.set(x.s, x.o, key, b)
	}
	return nil
}

func dictSwap(x *exec) error {
	key, b := x.in.Bytes(), x.in.Bytes()
	if err := x.in.Err(); err != nil {
		return err
	}
	d := x.dict()
	e := d.at[string(key)]
	if err := x.fits(e); err != nil {
		return err
	}
	x.entry(e)
	return d.set(x.s, x.o, key, b)
}

func dictCAS(x *exec) error {
	key, there, old, b := x.in.Bytes(), x.in.Bool(), x.in.Bytes(), x.in.Bytes()
	if err := x.in.Err(); err != nil {
		return err
	}
	d := x.dict()
	e := d.at[string(key)]
	same := !there && e == nil || there && e != nil && bytes.Equal(e.v.b, old)
	x.out.Bool(same)
	if !same {
		return nil
	}
	return d.set(x.s, x.o, key, b)
}

// fits returns an error if an entry is too large for an answer.
func (x *exec) fits(e *entry) error {
	if e == nil {
		return nil
	}
	return x.fitsBytes(len(e.key) + len(e.v.b))
}

func dictChange(x *exec) error {
	f, err := x.function()
	if err != nil {
		return err
	}

	key := string(x.in.Bytes())
	d, s, o := x.dict(), x.s, x.o

	return x.change(f, place{
		name: key,
		find: func() (*cell, error) {
			if e := d.at[key]; e != nil {
				return &e.cell, nil
			}
			return nil, nil
		},
		add:    func(b []byte) error { return d.set(s, o, []byte(key), b) },
		remove: func() { d.remove(s, o, d.at[key]) },
	})
}
