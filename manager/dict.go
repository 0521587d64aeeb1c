package manager

import (
	"context"
	"fmt"
	"iter"
	"reflect"

	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// A Dict is a proxy for a map in a manager. A pointer to a Dict can be sent to other processes, and
// can be put into objects of the same manager. A Dict is safe for concurrent use.
//
// Every method takes one message to the manager and one back, and is atomic. Values are copied, so
// changing a value that Get returned changes nothing in the manager: set the value again, or use
// [Update] to change it in the manager. Keys can be structs and arrays. Two keys are equal if their
// encodings are equal: the floats 0 and -0 are different keys, and so are times that denote the
// same moment in different time zones. Iteration is in the order in which the keys were first set.
//
// A Dict cannot contain itself, directly or indirectly. A call that would make a Dict contain
// itself returns [ErrLimit].
//
// A call that returns an error has changed nothing, unless the error is [ErrLost] or ctx's. In that
// case, the call may have been performed.
type Dict[K comparable, V any] struct {
	p     *proxy
	key   *codec.Type[K]
	value *codec.Type[V]
}

// An Entry is a key of a [Dict] and its value.
type Entry[K comparable, V any] struct {
	Key   K
	Value V
}

// NewDict makes an empty Dict in a manager. If a part of K or V cannot be encoded, or a part of K
// cannot be a key, the error names that part.
func NewDict[K comparable, V any](ctx context.Context, m *Manager, opts ...Option) (*Dict[K, V], error) {
	d, err := dictOf[K, V]()
	if err != nil {
		return nil, fmt.Errorf("manager: NewDict: %w", err)
	}
	d.p, err = m.make(ctx, store.KindDict, d.shape(), opts, nil)
	if err != nil {
		return nil, err
	}
	return d, nil
}

func dictOf[K comparable, V any]() (*Dict[K, V], error) {
	key, err := keyCodec[K]()
	if err != nil {
		return nil, err
	}
	value, err := codec.ForMessage[V]()
	if err != nil {
		return nil, err
	}
	return &Dict[K, V]{key: key, value: value}, nil
}

func keyCodec[K comparable]() (*codec.Type[K], error) {
	t := reflect.TypeFor[K]()
	if err := checkKey(t, t.String()); err != nil {
		return nil, err
	}
	return codec.ForKey[K]()
}

func (d *Dict[K, V]) shape() uint64 {
	return store.Shape(store.KindDict, d.key.Fingerprint(), d.value.Fingerprint())
}

// begin begins a request with a key.
func (d *Dict[K, V]) begin(op store.Op, key *K) (*request, error) {
	r, err := d.p.begin(op)
	if err != nil {
		return nil, err
	}
	if err := write(r, d.key, key); err != nil {
		r.free()
		return nil, err
	}
	return r, nil
}

// beginWith begins a request with a key and a value.
func (d *Dict[K, V]) beginWith(op store.Op, key *K, value *V) (*request, error) {
	r, err := d.begin(op, key)
	if err != nil {
		return nil, err
	}
	if err := write(r, d.value, value); err != nil {
		r.free()
		return nil, err
	}
	return r, nil
}

// Get returns the value of a key; ok is false if the key does not exist.
func (d *Dict[K, V]) Get(ctx context.Context, key K) (value V, ok bool, err error) {
	r, err := d.begin(store.OpDictGet, &key)
	if err != nil {
		return value, false, err
	}
	err = r.do(ctx, func(in *store.Reader) error { return readIf(in, d.value, &value, &ok) })
	return value, ok, err
}

// GetAll returns the values of the given keys that exist, as they are at one moment.
func (d *Dict[K, V]) GetAll(ctx context.Context, keys ...K) (map[K]V, error) {
	all := make(map[K]V, len(keys))
	if len(keys) == 0 {
		return all, nil
	}
	r, err := d.begin(store.OpDictGet, &keys[0])
	if err != nil {
		return nil, err
	}

	for i := range keys[1:] {
		if err := write(r, d.key, &keys[i+1]); err != nil {
			r.free()
			return nil, err
		}
	}

	err = r.do(ctx, func(in *store.Reader) error {
		for _, key := range keys {
			var v V
			var ok bool
			if err := readIf(in, d.value, &v, &ok); err != nil {
				return err
			}
			if ok {
				all[key] = v
			}
		}
		return nil
	})

	return all, err
}

// Set sets the value of a key.
func (d *Dict[K, V]) Set(ctx context.Context, key K, value V) error {
	r, err := d.beginWith(store.OpDictSet, &key, &value)
	if err != nil {
		return err
	}
	return r.do(ctx, nil)
}

// SetAll sets the values of many keys atomically, in one message. On error it has set none of them,
// unless the manager ran out of room.
func (d *Dict[K, V]) SetAll(ctx context.Context, all map[K]V) error {
	if len(all) == 0 {
		return nil
	}

	r, err := d.p.begin(store.OpDictSet)
	if err != nil {
		return err
	}
	var key K // declared once for all entries, since they escape to the heap
	var value V
	for key, value = range all {
		if err = write(r, d.key, &key); err == nil {
			err = write(r, d.value, &value)
		}
		if err != nil {
			r.free()
			return err
		}
	}

	return r.do(ctx, nil)
}

// Delete deletes keys and returns how many of them existed.
func (d *Dict[K, V]) Delete(ctx context.Context, keys ...K) (n int, err error) {
	r, err := d.p.begin(store.OpDictDelete)
	if err != nil {
		return 0, err
	}
	for i := range keys {
		if err := write(r, d.key, &keys[i]); err != nil {
			r.free()
			return 0, err
		}
	}
	err = r.do(ctx, func(in *store.Reader) error { n = in.Int(); return nil })
	return n, err
}

// Has reports whether a key exists.
func (d *Dict[K, V]) Has(ctx context.Context, key K) (ok bool, err error) {
	r, err := d.begin(store.OpDictHas, &key)
	if err != nil {
		return false, err
	}
	err = r.do(ctx, func(in *store.Reader) error { ok = in.Bool(); return nil })
	return ok, err
}

// Pop deletes a key and returns its value; ok is false if the key does not exist.
func (d *Dict[K, V]) Pop(ctx context.Context, key K) (value V, ok bool, err error) {
	r, err := d.begin(store.OpDictPop, &key)
	if err != nil {
		return value, false, err
	}
	err = r.do(ctx, func(in *store.Reader) error { return readIf(in, d.value, &value, &ok) })
	return value, ok, err
}

// PopFirst deletes the oldest key and returns its entry; ok is false if the Dict is empty.
func (d *Dict[K, V]) PopFirst(ctx context.Context) (entry Entry[K, V], ok bool, err error) {
	err = d.p.ask(ctx, store.OpDictPopFirst, func(in *store.Reader) error {
		err := readIf(in, d.value, &entry.Value, &ok)
		if err == nil && ok {
			err = read(in, d.key, &entry.Key)
		}
		return err
	})
	return entry, ok, err
}

// GetOrSet returns the value of a key if the key exists. If not, it sets and returns the given
// value. loaded reports whether the key existed.
func (d *Dict[K, V]) GetOrSet(ctx context.Context, key K, value V) (actual V, loaded bool, err error) {
	r, err := d.beginWith(store.OpDictGetOrSet, &key, &value)
	if err != nil {
		return actual, false, err
	}
	err = r.do(ctx, func(in *store.Reader) error { return readIf(in, d.value, &actual, &loaded) })
	if err == nil && !loaded {
		actual = value
	}
	return actual, loaded, err
}

// Swap sets the value of a key and returns the old one; ok is false if the key did not exist.
func (d *Dict[K, V]) Swap(ctx context.Context, key K, value V) (old V, ok bool, err error) {
	r, err := d.beginWith(store.OpDictSwap, &key, &value)
	if err != nil {
		return old, false, err
	}
	err = r.do(ctx, func(in *store.Reader) error { return readIf(in, d.value, &old, &ok) })
	return old, ok, err
}

// CompareAndSwap sets the value of a key if the encoding of its current value equals old's, and
// reports whether it did.
func (d *Dict[K, V]) CompareAndSwap(ctx context.Context, key K, old, value V) (swapped bool, err error) {
	r, err := d.begin(store.OpDictCAS, &key)
	if err != nil {
		return false, err
	}
	r.Bool(true)
	if err = write(r, d.value, &old); err == nil {
		err = write(r, d.value, &value)
	}
	if err != nil {
		r.free()
		return false, err
	}
	err = r.do(ctx, func(in *store.Reader) error { swapped = in.Bool(); return nil })
	return swapped, err
}

// Len returns the number of keys.
func (d *Dict[K, V]) Len(ctx context.Context) (int, error) { return d.p.askInt(ctx, store.OpDictLen) }

// Clear deletes all keys.
func (d *Dict[K, V]) Clear(ctx context.Context) error { return d.p.ask(ctx, store.OpDictClear, nil) }

// pageSize is the number of bytes that an iteration asks for at a time.
const pageSize = 32 << 10

// All yields the entries in the order in which their keys were first set. It fetches a page of
// entries at a time, so entries that are added meanwhile come at the end, and entries that are
// deleted before All reaches them are skipped. An error comes last.
func (d *Dict[K, V]) All(ctx context.Context) iter.Seq2[Entry[K, V], error] {
	return func(yield func(Entry[K, V], error) bool) {
		for cursor := uint64(0); ; {
			page, next, err := d.page(ctx, cursor)
			for _, e := range page {
				if !yield(e, nil) {
					return
				}
			}
			if err != nil {
				yield(Entry[K, V]{}, err)
				return
			}
			if len(page) == 0 {
				return
			}

			cursor = next
		}
	}
}

func (d *Dict[K, V]) page(ctx context.Context, cursor uint64) (page []Entry[K, V], next uint64, err error) {
	r, err := d.p.begin(store.OpDictScan)
	if err != nil {
		return nil, 0, err
	}

	r.Uint(cursor)
	r.Int(pageSize)
	err = r.do(ctx, func(in *store.Reader) error {
		next = in.Uint()
		for range in.Count() {
			var e Entry[K, V]
			err := read(in, d.key, &e.Key)
			if err == nil {
				err = read(in, d.value, &e.Value)
			}
			if err != nil {
				return err
			}
			page = append(page, e)
		}
		return nil
	})

	return page, next, err
}

// Keys returns the keys that [Dict.All] yields.
func (d *Dict[K, V]) Keys(ctx context.Context) (keys []K, err error) {
	for e, err := range d.All(ctx) {
		if err != nil {
			return nil, err
		}
		keys = append(keys, e.Key)
	}
	return keys, nil
}

// Copy returns a map of the entries that [Dict.All] yields.
func (d *Dict[K, V]) Copy(ctx context.Context) (map[K]V, error) {
	all := map[K]V{}
	for e, err := range d.All(ctx) {
		if err != nil {
			return nil, err
		}
		all[e.Key] = e.Value
	}
	return all, nil
}

// Update calls a registered function in the manager to compute the new value of a key from the old
// one. It returns the new value, or the zero value if f removed the key. Updates of the same key
// run one after another.
func Update[K comparable, V, A any](ctx context.Context, d *Dict[K, V], key K, f *Func[V, A], arg A) (value V, err error) {
	r, err := d.p.begin(store.OpDictChange)
	if err != nil {
		return value, err
	}
	if err = f.writeTo(r); err == nil {
		err = write(r, d.key, &key)
	}
	return change(ctx, r, err, f, arg)
}

// UpdateAll is like [Update], but for many keys in one message, each with an argument of its own.
// It changes the keys one by one, so other processes can see some keys changed before the rest. If
// f returns an error for one key, UpdateAll returns that error, and some of the other keys may have
// been changed.
func UpdateAll[K comparable, V, A any](ctx context.Context, d *Dict[K, V], f *Func[V, A], args map[K]A) error {
	if len(args) == 0 {
		return nil
	}

	r, err := d.p.begin(store.OpDictChangeAll)
	if err != nil {
		return err
	}
	err = f.writeTo(r)
	for key, arg := range args {
		if err == nil {
			err = write(r, d.key, &key)
		}
		if err == nil {
			err = write(r, f.arg, &arg)
		}
	}
	if err != nil {
		r.free()
		return err
	}

	return r.do(ctx, nil)
}

// change sends a request to change a value. The caller has written everything except the argument.
func change[V, A any](ctx context.Context, r *request, err error, f *Func[V, A], arg A) (value V, _ error) {
	if err == nil {
		err = write(r, f.arg, &arg)
	}
	if err != nil {
		r.free()
		return value, err
	}
	var there bool
	err = r.do(ctx, func(in *store.Reader) error { return readIf(in, f.in, &value, &there) })
	return value, err
}

// Close ends the proxy: this process no longer keeps the Dict alive, either for itself or for
// copies of the proxy that it has sent on. Processes that have received a copy are not affected.
// Without Close, the same happens when the garbage collector finds that the proxy is unreachable.
// But if the proxy was sent on and is not closed, only the end of this process releases the Dict.
func (d *Dict[K, V]) Close() error { return d.p.close() }

// MarshalBinary encodes the proxy, not the contents.
func (d *Dict[K, V]) MarshalBinary() ([]byte, error) { return d.p.marshal() }

// UnmarshalBinary sets d to the proxy encoded in data.
func (d *Dict[K, V]) UnmarshalBinary(data []byte) error {
	fresh, err := dictOf[K, V]()
	if err != nil {
		return err
	}
	fresh.p, err = unmarshal(data, store.KindDict, fresh.shape())
	if err == nil {
		*d = *fresh
	}
	return err
}
