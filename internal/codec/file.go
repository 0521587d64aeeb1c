package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"sync"
)

// CBOR cannot encode a file. The numbers under which the files of a value can be received therefore
// precede the value, in the order in which a fileWalk finds the files.

var (
	fileType    = reflect.TypeFor[os.File]()
	filePointer = reflect.TypeFor[*os.File]()
)

// transport sends files to other processes.
var transport = struct {
	send    func(*os.File) (id uint64, err error)
	receive func(id uint64, name string, take bool) (*os.File, error)
	forget  func(ids []uint64)
	lose    func(ids []uint64)
	discard func(f *os.File)
}{
	func(*os.File) (uint64, error) { return 0, errors.ErrUnsupported },
	func(uint64, string, bool) (*os.File, error) { return nil, errors.ErrUnsupported },
	func([]uint64) {},
	func([]uint64) {},
	func(f *os.File) { _ = f.Close() },
}

// Files sets the functions that send and receive files. It must be called once, before any codec is
// created. If take is set, a received file cannot be received again. lose ends files that were to
// be received that way. discard closes a received file of a value that cannot be decoded; it must
// not wait, because the sender decides how long closing takes.
func Files(send func(*os.File) (uint64, error), receive func(id uint64, name string, take bool) (*os.File, error), forget, lose func([]uint64), discard func(*os.File)) {
	transport.send, transport.receive, transport.forget, transport.lose, transport.discard = send, receive, forget, lose, discard
}

var fileHolders sync.Map // of reflect.Type to bool

// holdsFiles reports whether values of t may contain files.
func holdsFiles(t reflect.Type) bool {
	if yes, ok := fileHolders.Load(t); ok {
		return yes.(bool)
	}
	yes := search(t, map[reflect.Type]bool{}, func(t reflect.Type) bool { return t == filePointer || t.Kind() == reflect.Interface })
	fileHolders.Store(t, yes)
	return yes
}

// withFiles extends an encoding so that it includes the files in values of t.
func withFiles[T any](t reflect.Type, encode func([]byte, *T) ([]byte, error), decode func([]byte, *T) error, take bool) (func([]byte, *T) ([]byte, error), func([]byte, *T) error) {
	if !holdsFiles(t) {
		return encode, decode
	}

	return func(buf []byte, v *T) ([]byte, error) {
			out, ids, err := appendFiles(buf, reflect.ValueOf(v).Elem())
			if err == nil {
				out, err = encode(out, v)
			}
			if err != nil {
				transport.forget(ids)
				return buf, err
			}
			return out, nil
		}, func(data []byte, v *T) error {
			files, rest, err := parseFiles(data)
			if err != nil {
				return err
			}
			if err := decode(rest, v); err != nil {
				return err
			}
			if err := receiveFiles(reflect.ValueOf(v).Elem(), files, take); err != nil {
				*v = *new(T) // *v contains files that are closed
				return err
			}
			return nil
		}
}

// endFiles ends the files in a result that cannot be decoded. The result's sender no longer needs
// the files.
func (c *Type[T]) endFiles() {
	decode := c.decode
	c.decode = func(data []byte, v *T) error {
		err := decode(data, v)
		if err != nil {
			transport.lose(c.FilesOf(data))
		}
		return err
	}
}

// maxFiles is how many files a value may contain. A corrupt process may list any number, and each
// file costs a request.
const maxFiles = 1 << 16

func appendFiles(buf []byte, v reflect.Value) ([]byte, []uint64, error) {
	var ids []uint64
	var list []byte
	err := fileWalk{found: func(f *os.File) (*os.File, error) {
		id, err := transport.send(f)
		if err != nil {
			return nil, fmt.Errorf("the file %s: %w", f.Name(), err)
		}
		if ids = append(ids, id); len(ids) > maxFiles {
			return nil, fmt.Errorf("more than %d files in one value", maxFiles)
		}
		list = binary.LittleEndian.AppendUint64(list, id)
		list = binary.AppendUvarint(list, uint64(len(f.Name())))
		list = append(list, f.Name()...)
		return f, nil
	}}.at(v, 0)

	buf = binary.AppendUvarint(buf, uint64(len(ids)))
	return append(buf, list...), ids, err
}

// A sent is a file in transit.
type sent struct {
	id   uint64
	name string
}

var errNoFiles = errors.New("no list of files before the value")

func parseFiles(data []byte) (files []sent, rest []byte, err error) {
	n, k := binary.Uvarint(data)
	if k <= 0 || n > maxFiles {
		return nil, nil, errNoFiles
	}

	data = data[k:]
	for range n {
		if len(data) < 9 {
			return nil, nil, errNoFiles
		}
		id := binary.LittleEndian.Uint64(data)
		length, k := binary.Uvarint(data[8:])
		if data = data[8:]; k <= 0 || length > uint64(len(data)-k) {
			return nil, nil, errNoFiles
		}
		files = append(files, sent{id, string(data[k : k+int(length)])})
		data = data[k+int(length):]
	}
	return files, data, nil
}

// receiveFiles sets the files in a decoded value, which contains placeholders for them.
func receiveFiles(v reflect.Value, files []sent, take bool) error {
	var open []*os.File
	err := fileWalk{set: true, found: func(*os.File) (*os.File, error) {
		if len(open) == len(files) {
			return nil, errNoFiles
		}
		next := files[len(open)]
		f, err := transport.receive(next.id, next.name, take)
		if err == nil {
			open = append(open, f)
		}
		return f, err
	}}.at(v, 0)

	if err == nil && len(open) != len(files) {
		err = errNoFiles
	}

	if err != nil {
		for _, f := range open {
			transport.discard(f)
		}
	}
	return err
}

// A fileWalk visits the files in a value, always in the same order.
type fileWalk struct {
	found func(*os.File) (*os.File, error)
	set   bool // replaces the files by the results of found; the walk owns the value
}

// at visits v, which must be settable if w.set is set.
func (w fileWalk) at(v reflect.Value, depth int) error {
	t := v.Type()
	if depth > maxDepth {
		return errTooDeep
	}
	if !holdsFiles(t) {
		return nil
	}

	switch t.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		if t == filePointer {
			return w.file(v)
		}
		return w.at(v.Elem(), depth+1)
	case reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return w.copied(v.Elem(), depth, v.Set)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if err := w.at(v.Index(i), depth+1); err != nil {
				return err
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := t.Field(i); f.IsExported() || f.Anonymous {
				if err := w.at(v.Field(i), depth+1); err != nil {
					return err
				}
			}
		}
	case reflect.Map:
		return w.inMap(v, depth)
	}

	return nil
}

func (w fileWalk) file(v reflect.Value) error {
	f, err := w.found(v.Interface().(*os.File))
	if err == nil && w.set {
		v.Set(reflect.ValueOf(f))
	}
	return err
}

// copied visits a value that is not settable. If w.set is set, it visits a copy, which put stores.
func (w fileWalk) copied(v reflect.Value, depth int, put func(reflect.Value)) error {
	if !w.set {
		return w.at(v, depth+1)
	}
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	err := w.at(c, depth+1)
	if err == nil {
		put(c)
	}
	return err
}

// inMap visits a map in the order of its encoded keys.
func (w fileWalk) inMap(v reflect.Value, depth int) error {
	type entry struct {
		code       []byte
		key, value reflect.Value
	}
	var entries []entry
	key := coderOf(v.Type().Key())
	for it := v.MapRange(); it.Next(); {
		code, err := key.append(nil, it.Key(), 0)
		if err != nil {
			return err
		}
		entries = append(entries, entry{code, it.Key(), it.Value()})
	}

	slices.SortFunc(entries, func(a, b entry) int { return bytes.Compare(a.code, b.code) })
	for _, e := range entries {
		put := func(n reflect.Value) { v.SetMapIndex(e.key, n) }
		if !v.MapIndex(e.key).IsValid() { // a NaN: setting it would add another entry
			put = func(reflect.Value) {}
		}
		if err := w.copied(e.value, depth, put); err != nil {
			return err
		}
	}
	return nil
}

// Files reports whether values of T may contain files.
func (c *Type[T]) Files() bool { return c.files }

// CloseFiles closes the files in a decoded value that will not be used.
func (c *Type[T]) CloseFiles(v *T) {
	if c.files {
		_ = fileWalk{found: func(f *os.File) (*os.File, error) { transport.discard(f); return f, nil }}.at(reflect.ValueOf(v).Elem(), 0)
	}
}

// forgetFiles withdraws the files of a framed value that is not sent.
func (c *Type[T]) forgetFiles(framed []byte) {
	for _, ids := range c.SentFiles(framed, 1) {
		transport.forget(ids)
	}
}

// SentFiles returns the numbers of the files in each of n framed values, or nil if values of T
// contain no files.
func (c *Type[T]) SentFiles(run []byte, n int) (ids [][]uint64) {
	if !c.files {
		return nil
	}
	ids = make([][]uint64, n)
	for i := range ids {
		size := int(binary.LittleEndian.Uint32(run))
		ids[i] = c.FilesOf(run[HeadSize : HeadSize+size])
		run = run[HeadSize+size:]
	}
	return ids
}

// FilesOf returns the numbers of the files in an encoded value. data may be anything.
func (c *Type[T]) FilesOf(data []byte) (ids []uint64) {
	if !c.files {
		return nil
	}
	files, _, _ := parseFiles(data)
	for _, f := range files {
		ids = append(ids, f.id)
	}
	return ids
}
