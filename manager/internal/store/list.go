package store

import (
	"bytes"
	"fmt"
	"slices"
)

// Operations of lists. A negative index counts from the end. The comments list the arguments and,
// after a colon, the results.
const (
	OpListAppend Op = iota + 40 // values: the new length
	OpListGet                   // index: value
	OpListSet                   // index, value
	OpListInsert                // index, values
	OpListDelete                // from, to
	OpListPop                   // index: whether there was one, value
	OpListLen
	OpListScan   // index, bytes: values
	OpListSlice  // from, to: values
	OpListIndex  // value, from: index or -1
	OpListCount  // value: number of matches
	OpListRemove // value: whether it existed
	OpListReverse
	OpListClear
	OpListSwap    // index, value: the old one
	OpListCAS     // index, old, value: whether it was set
	OpListReplace // expected version, values: whether the version matched
	OpListChange  // function, shape, index, argument: true, the value
	OpListAll     // : version, values
)

type elements struct {
	all     []*cell
	peak    int // peak of len(all) since all was allocated; tells when to shrink all
	version uint64
}

func (l *elements) leave(*Store, *object, *Client) {}

func (l *elements) empty(s *Store, o *object) {
	for _, c := range l.all {
		c.gone = true
		s.drop(o, c.v)
		c.v = value{}
	}
	l.all, l.peak = nil, 0
	l.version++
}

func (l *elements) size() int { return len(l.all) }

func init() {
	makers[KindList] = func(x *exec) (body, error) {
		l := &elements{}
		return l, l.insert(x, 0)
	}

	define(KindList, map[Op]func(x *exec) error{
		OpListAppend:  listAppend,
		OpListGet:     func(x *exec) error { return x.element(func(c *cell) error { x.value(c.v); return nil }) },
		OpListSet:     func(x *exec) error { return x.setElement(false) },
		OpListSwap:    func(x *exec) error { return x.setElement(true) },
		OpListCAS:     listCAS,
		OpListInsert:  listInsert,
		OpListDelete:  listDelete,
		OpListPop:     listPop,
		OpListLen:     func(x *exec) error { x.out.Int(len(x.list().all)); return x.in.Err() },
		OpListScan:    listScan,
		OpListSlice:   listSlice,
		OpListIndex:   listIndex,
		OpListCount:   listCount,
		OpListRemove:  listRemove,
		OpListReverse: func(x *exec) error { slices.Reverse(x.list().all); x.list().version++; return x.in.Err() },
		OpListClear:   func(x *exec) error { x.list().empty(x.s, x.o); return x.in.Err() },
		OpListChange:  listChange,
		OpListAll:     listAll,
		OpListReplace: listReplace,
	}, OpListChange)

	whole(OpListScan, OpListSlice, OpListIndex, OpListCount, OpListRemove, OpListReverse, OpListClear, OpListReplace, OpListAll)
	compares(OpListIndex, OpListCount, OpListRemove)
	shortAnswers(OpListAppend, OpListSet, OpListLen)
}

func (x *exec) list() *elements { return x.o.body.(*elements) }

// value writes a value, and tells the client of the objects in it.
func (x *exec) value(v value) {
	if x.out.Bytes(v.b); x.out.full {
		return
	}
	for _, id := range v.refs {
		x.s.give(x.c, id)
		x.shown = append(x.shown, id)
	}
}

// values writes values while there is room for them.
func (x *exec) values(all []*cell) {
	for _, c := range all {
		if x.value(c.v); x.out.full {
			return
		}
	}
}

// at resolves an index. The result must be less than below.
func (l *elements) at(i, below int) (int, error) {
	n := i
	if n < 0 {
		n += len(l.all)
	}
	if n < 0 || n >= below {
		return 0, fmt.Errorf("%w: %d of %d", ErrRange, i, len(l.all))
	}
	return n, nil
}

// element reads an index and calls f with the element at that index. Nothing may follow the index
// in the request.
func (x *exec) element(f func(c *cell) error) error {
	l := x.list()
	i, err := l.at(x.in.Int(), len(l.all))
	if err != nil {
		return err
	}
	if err := x.in.Err(); err != nil {
		return err
	}
	return f(l.all[i])
}

// insert inserts the values that have yet to be read. On error it inserts none of them.
func (l *elements) insert(x *exec, at int) error {
	n, size, err := x.countRest(1, 1)
	if err == nil {
		err = x.s.room(n*valueSize + size)
	}
	if err != nil {
		return err
	}

	fresh := make([]*cell, 0, n)
	for x.in.More() {
		v, err := x.s.keep(x.o, x.in.Bytes(), value{})
		if err != nil {
			for _, c := range fresh {
				x.s.drop(x.o, c.v)
			}
			return err
		}
		fresh = append(fresh, &cell{v: v})
	}

	if at == len(l.all) {
		l.all = append(l.all, fresh...)
	} else {
		l.all = slices.Insert(l.all, at, fresh...)
	}

	l.peak = max(l.peak, len(l.all))
	l.version++
	return nil
}

// badInput returns an error if the request is malformed.
func (x *exec) badInput() error {
	if x.in.bad {
		return errMalformed
	}
	return nil
}

func listAppend(x *exec) error {
	l := x.list()
	if err := l.insert(x, len(l.all)); err != nil {
		return err
	}
	x.out.Int(len(l.all))
	return nil
}

func listInsert(x *exec) error {
	l := x.list()
	at, err := l.at(x.in.Int(), len(l.all)+1)
	if err == nil {
		err = x.work((len(l.all) - at) / 16)
	}
	if err != nil {
		return err
	}
	return l.insert(x, at)
}

// setElement reads an index and a value, and sets the element. If show is set, setElement first
// writes the old value.
func (x *exec) setElement(show bool) error {
	i, b := x.in.Int(), x.in.Bytes()
	if err := x.in.Err(); err != nil {
		return err
	}
	l := x.list()
	n, err := l.at(i, len(l.all))
	if err != nil {
		return err
	}

	if show {
		if err := x.fitsBytes(len(l.all[n].v.b)); err != nil {
			return err
		}
		x.value(l.all[n].v)
	}

	l.version++
	return l.all[n].set(x.s, x.o, b)
}

func listCAS(x *exec) error {
	i, old, b := x.in.Int(), x.in.Bytes(), x.in.Bytes()
	if err := x.in.Err(); err != nil {
		return err
	}

	l := x.list()
	n, err := l.at(i, len(l.all))
	if err != nil {
		return err
	}

	same := bytes.Equal(l.all[n].v.b, old)
	x.out.Bool(same)
	if !same {
		return nil
	}
	l.version++
	return l.all[n].set(x.s, x.o, b)
}

// bounds reads the bounds of a section of the list.
func (x *exec) bounds() (from, to int, err error) {
	from, to = x.in.Int(), x.in.Int()
	if err := x.in.Err(); err != nil {
		return 0, 0, err
	}
	n := len(x.list().all)
	if from < 0 || to < from || to > n {
		return 0, 0, fmt.Errorf("%w: %d to %d of %d", ErrRange, from, to, n)
	}
	return from, to, nil
}

func listDelete(x *exec) error {
	from, to, err := x.bounds()
	if err == nil {
		err = x.work(to - from + (len(x.list().all)-to)/16)
	}
	if err == nil {
		x.list().remove(x.s, x.o, from, to)
	}
	return err
}

func (l *elements) remove(s *Store, o *object, from, to int) {
	for _, c := range l.all[from:to] {
		c.gone = true
		s.drop(o, c.v)
		c.v = value{}
	}

	if from == 0 {
		clear(l.all[:to])
		l.all = l.all[to:]
	} else {
		l.all = slices.Delete(l.all, from, to)
	}

	if l.peak > 64 && len(l.all) < l.peak/4 {
		l.all = slices.Clone(l.all)
		l.peak = len(l.all)
	}
	l.version++
}

func listPop(x *exec) error {
	i := x.in.Int()
	if err := x.in.Err(); err != nil {
		return err
	}
	l := x.list()
	if len(l.all) == 0 {
		x.show(value{}, false)
		return nil
	}
	n, err := l.at(i, len(l.all))
	if err != nil {
		return err
	}
	if err := x.fitsBytes(len(l.all[n].v.b)); err != nil {
		return err
	}

	if n > 0 {
		if err := x.work((len(l.all) - n) / 16); err != nil {
			return err
		}
	}

	x.show(l.all[n].v, true)
	l.remove(x.s, x.o, n, n+1)
	return nil
}

// listScan writes values from an index on until they have size bytes. If there is a value, it
// writes at least one.
func listScan(x *exec) error {
	from, size := x.in.Int(), x.in.Int()
	if err := x.in.Err(); err != nil {
		return err
	}
	l := x.list()
	for n := 0; from >= 0 && from < len(l.all) && (n < size || n == 0) && !x.out.full; from++ {
		x.value(l.all[from].v)
		n += len(l.all[from].v.b) + 1
	}
	return nil
}

func listSlice(x *exec) error {
	from, to, err := x.bounds()
	if err != nil {
		return err
	}
	x.values(x.list().all[from:to])
	return nil
}

func (l *elements) index(b []byte, from int) int {
	for i := max(from, 0); i < len(l.all); i++ {
		if bytes.Equal(l.all[i].v.b, b) {
			return i
		}
	}
	return -1
}

func listIndex(x *exec) error {
	b, from := x.in.Bytes(), x.in.Int()
	x.out.Int(x.list().index(b, from))
	return x.in.Err()
}

func listCount(x *exec) error {
	b, l, n := x.in.Bytes(), x.list(), 0
	for i := l.index(b, 0); i >= 0; i = l.index(b, i+1) {
		n++
	}
	x.out.Int(n)
	return x.in.Err()
}

func listRemove(x *exec) error {
	b := x.in.Bytes()
	if err := x.in.Err(); err != nil {
		return err
	}
	l := x.list()
	i := l.index(b, 0)
	x.out.Bool(i >= 0)
	if i >= 0 {
		l.remove(x.s, x.o, i, i+1)
	}
	return nil
}

func listChange(x *exec) error {
	f, err := x.function()
	if err != nil {
		return err
	}

	l := x.list()
	i, err := l.at(x.in.Int(), len(l.all))
	if err != nil {
		return err
	}

	c := l.all[i] // stays the same element even if its index changes
	return x.change(f, place{
		name: fmt.Sprintf("%p", c),
		find: func() (*cell, error) {
			if c.gone {
				return nil, fmt.Errorf("%w: the element was removed meanwhile", ErrRange)
			}
			l.version++ // the caller may be about to change the value
			return c, nil
		},
	})
}

func listAll(x *exec) error {
	l := x.list()
	x.out.Uint(l.version)
	x.values(l.all)
	return x.in.Err()
}

// listReplace replaces all values if the list still has the expected version.
func listReplace(x *exec) error {
	version := x.in.Uint()
	if x.in.bad {
		return errMalformed
	}

	l := x.list()
	x.out.Bool(l.version == version)
	if l.version != version {
		return nil
	}

	fresh := &elements{version: version}
	if err := fresh.insert(x, 0); err != nil {
		return err
	}
	l.empty(x.s, x.o)
	l.all, l.peak = fresh.all, fresh.peak
	return nil
}
