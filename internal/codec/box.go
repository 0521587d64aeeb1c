package codec

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"
)

// CBOR forgets which Go type a number in an interface had, and whether an
// interface held T or *T. So values with interfaces in them are walked before
// they are encoded and after they are decoded: a number of type int travels as
// a boxInt, and so on. The same walk finds values that are too deep or cyclic.

type (
	boxInt     int
	boxInt8    int8
	boxInt16   int16
	boxInt32   int32
	boxInt64   int64
	boxUint    uint
	boxUint8   uint8
	boxUint16  uint16
	boxUint32  uint32
	boxUint64  uint64
	boxFloat32 float32
	boxTime    []byte // by time's own binary form, which loses nothing
	boxNil     uint64 // a nil pointer, slice or map: the number of its type
)

var boxTypes = []reflect.Type{
	reflect.TypeFor[boxInt](), reflect.TypeFor[boxInt8](), reflect.TypeFor[boxInt16](), reflect.TypeFor[boxInt32](),
	reflect.TypeFor[boxInt64](), reflect.TypeFor[boxUint](), reflect.TypeFor[boxUint8](), reflect.TypeFor[boxUint16](),
	reflect.TypeFor[boxUint32](), reflect.TypeFor[boxUint64](), reflect.TypeFor[boxFloat32](),
	reflect.TypeFor[boxTime](), reflect.TypeFor[boxNil](),
}

var plainTypes = []reflect.Type{
	reflect.TypeFor[int](), reflect.TypeFor[int8](), reflect.TypeFor[int16](), reflect.TypeFor[int32](),
	reflect.TypeFor[int64](), reflect.TypeFor[uint](), reflect.TypeFor[uint8](), reflect.TypeFor[uint16](),
	reflect.TypeFor[uint32](), reflect.TypeFor[uint64](), reflect.TypeFor[float32](),
}

var boxed, unboxed = func() (b, u map[reflect.Type]reflect.Type) {
	b, u = map[reflect.Type]reflect.Type{}, map[reflect.Type]reflect.Type{}
	for i := range plainTypes {
		b[plainTypes[i]], u[boxTypes[i]] = boxTypes[i], plainTypes[i]
	}
	return b, u
}()

var errTooDeep = errors.New("the value is cyclic or nested more than 10,000 deep")

// A walk says what must be done to values of a type around the CBOR library.
type walk int

const (
	walkNone  walk = iota
	walkCheck      // some values cannot travel: cyclic ones, pointers to nil, odd times
	walkBox        // holds interfaces
)

var walks sync.Map // of reflect.Type to walk

// walkOf looks for interfaces and recursion in a type.
func walkOf(t reflect.Type) walk {
	if w, ok := walks.Load(t); ok {
		return w.(walk)
	}
	w := searchWalk(t, map[reflect.Type]bool{})
	walks.Store(t, w)
	return w
}

func searchWalk(t reflect.Type, above map[reflect.Type]bool) (w walk) {
	if above[t] {
		return walkCheck
	}
	if t == timeType {
		return walkCheck
	}
	if isHandle(t) {
		return walkBox
	}
	if t == fileType {
		return walkNone
	}
	if hasOwnForm(t) {
		return walkNone
	}
	above[t] = true
	defer delete(above, t)
	switch t.Kind() {
	case reflect.Interface:
		return walkBox
	case reflect.Pointer:
		w = searchWalk(t.Elem(), above)
		if canBeNil(t.Elem()) {
			w = max(w, walkCheck)
		}
	case reflect.Slice, reflect.Array, reflect.Map:
		return searchWalk(t.Elem(), above)
	case reflect.Struct:
		for f := range t.Fields() {
			w = max(w, searchWalk(f.Type, above))
		}
	}
	return w
}

var timeType = reflect.TypeFor[time.Time]()

// canBeNil reports whether CBOR writes some values of t as nil.
func canBeNil(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Interface:
		return true
	case reflect.Slice, reflect.Map:
		return !hasOwnForm(t)
	}
	return t == timeType
}

// isNil reports whether CBOR writes v, of a type that canBeNil, as nil.
func isNil(v reflect.Value) bool {
	if v.Type() == timeType {
		return v.Interface().(time.Time).IsZero()
	}
	return v.IsNil()
}

// checkTime refuses times that RFC 3339 cannot write.
func checkTime(t time.Time) error {
	if _, offset := t.Zone(); offset%60 != 0 || max(offset, -offset) >= 24*3600 || t.Year() < 0 || t.Year() > 9999 {
		return fmt.Errorf("the time %v has a year or a zone that cannot travel: send its UTC, or its MarshalBinary", t)
	}
	return nil
}

// box returns v ready for encoding: itself if there is nothing to box.
func box(v reflect.Value, w walk) (any, error) {
	b := boxer{w}
	out, err := b.walk(v, 0)
	if err != nil {
		return nil, err
	}
	if !out.IsValid() || out.Kind() == reflect.Interface && out.IsNil() {
		return nil, nil
	}
	return out.Interface(), nil
}

type boxer struct{ w walk }

// walk copies what lies on the way to an interface and leaves the rest as is.
func (b boxer) walk(v reflect.Value, depth int) (reflect.Value, error) {
	if depth > maxDepth {
		return v, errTooDeep
	}
	if walkOf(v.Type()) == walkNone || isHandle(v.Type()) {
		return v, nil
	}
	if v.Type() == timeType {
		return v, checkTime(v.Interface().(time.Time))
	}
	switch v.Kind() {
	case reflect.Interface:
		return b.walkInterface(v, depth)
	case reflect.Pointer:
		if v.IsNil() {
			return v, nil
		}
		if e := v.Elem(); canBeNil(e.Type()) && isNil(e) {
			return v, fmt.Errorf("a %v that points to nil or to the zero time, and would itself arrive as nil", v.Type())
		}
		e, err := b.walk(v.Elem(), depth+1)
		if err != nil || b.w == walkCheck {
			return v, err
		}
		p := reflect.New(v.Type().Elem())
		p.Elem().Set(e)
		return p, nil
	case reflect.Struct:
		return b.walkStruct(v, depth)
	case reflect.Slice, reflect.Array:
		return b.walkList(v, depth)
	case reflect.Map:
		return b.walkMap(v, depth)
	}
	return v, nil
}

func (b boxer) walkInterface(v reflect.Value, depth int) (reflect.Value, error) {
	if v.IsNil() {
		return v, nil
	}
	e := v.Elem()
	t := e.Type()
	if to := boxed[t]; to != nil {
		return e.Convert(to), nil
	}
	if t == timeType {
		data, err := e.Interface().(time.Time).MarshalBinary()
		return reflect.ValueOf(boxTime(data)), err
	}
	if !b.travels(t) {
		return v, fmt.Errorf("a %v in an interface: register the type with RegisterType", t)
	}
	if err := checkDynamic(t); err != nil {
		return v, err
	}
	if canBeNil(t) && e.IsNil() {
		if v.NumMethod() > 0 {
			return v, fmt.Errorf("a nil %v in a %v, which would arrive as nil", t, v.Type())
		}
		return reflect.ValueOf(boxNil(typeNumber(t))), nil
	}
	out, err := b.walk(e, depth+1)
	if err != nil {
		return v, err
	}
	holder := reflect.New(v.Type()).Elem()
	holder.Set(out)
	return holder, nil
}

func (b boxer) travels(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[bool](), reflect.TypeFor[string](), reflect.TypeFor[float64](), reflect.TypeFor[[]byte](),
		reflect.TypeFor[[]any](), reflect.TypeFor[map[string]any]():
		return true
	}
	return registered.travels(t)
}

// The unnamed types in interfaces that can be nil.
var unnamed = []reflect.Type{reflect.TypeFor[[]byte](), reflect.TypeFor[[]any](), reflect.TypeFor[map[string]any]()}

// typeNumber names a type in a boxNil.
func typeNumber(t reflect.Type) uint64 {
	if i := slices.Index(unnamed, t); i >= 0 {
		return uint64(i)
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return tagNumber(t)
}

// nilOf is the value that a boxNil stands for; invalid if there is none.
func nilOf(n boxNil) reflect.Value {
	if n < boxNil(len(unnamed)) {
		return reflect.Zero(unnamed[n])
	}
	if t := registered.byNumber(uint64(n)); t != nil && canBeNil(t) {
		return reflect.Zero(t)
	}
	return reflect.Value{}
}

var dynamic sync.Map // of reflect.Type to the error of checking it, or nil

// checkDynamic is check for a type met in an interface.
func checkDynamic(t reflect.Type) error {
	bad, ok := dynamic.Load(t)
	if !ok {
		bad, _ = dynamic.LoadOrStore(t, checker{seen: map[reflect.Type]bool{}}.check(t, t.String()))
	}
	err, _ := bad.(error)
	return err
}

func (b boxer) walkStruct(v reflect.Value, depth int) (reflect.Value, error) {
	out := v
	if b.w == walkBox {
		out = reflect.New(v.Type()).Elem()
		out.Set(v)
	}
	return out, b.walkFields(out, depth)
}

// walkFields works in place, since an embedded struct of an unexported type
// can be set by its fields only.
func (b boxer) walkFields(v reflect.Value, depth int) error {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() && !f.Anonymous || walkOf(f.Type) == walkNone {
			continue
		}
		if !f.IsExported() {
			if err := b.walkFields(v.Field(i), depth+1); err != nil {
				return err
			}
			continue
		}
		e, err := b.walk(v.Field(i), depth+1)
		if err != nil {
			return err
		}
		if b.w == walkBox {
			v.Field(i).Set(e)
		}
	}
	return nil
}

func (b boxer) walkList(v reflect.Value, depth int) (reflect.Value, error) {
	if walkOf(v.Type().Elem()) == walkNone || v.Kind() == reflect.Slice && v.IsNil() {
		return v, nil
	}
	out := v
	if b.w == walkBox {
		out = reflect.New(v.Type()).Elem()
		if v.Kind() == reflect.Slice {
			out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		}
	}
	for i := range v.Len() {
		e, err := b.walk(v.Index(i), depth+1)
		if err != nil {
			return v, err
		}
		if b.w == walkBox {
			out.Index(i).Set(e)
		}
	}
	return out, nil
}

func (b boxer) walkMap(v reflect.Value, depth int) (reflect.Value, error) {
	if walkOf(v.Type().Elem()) == walkNone || v.IsNil() {
		return v, nil
	}
	out := v
	if b.w == walkBox {
		out = reflect.MakeMapWithSize(v.Type(), v.Len())
	}
	for it := v.MapRange(); it.Next(); {
		e, err := b.walk(it.Value(), depth+1)
		if err != nil {
			return v, err
		}
		if b.w == walkBox {
			out.SetMapIndex(it.Key(), e)
		}
	}
	return out, nil
}

// unbox undoes what box did, in place, in a value fresh from the decoder.
func unbox(v reflect.Value) {
	if walkOf(v.Type()) != walkBox {
		return
	}
	switch v.Kind() {
	case reflect.Interface:
		if v.IsNil() {
			return
		}
		if e := unboxDynamic(v.Elem()); e.IsValid() {
			v.Set(e)
		} else {
			v.SetZero()
		}
	case reflect.Pointer:
		switch {
		case v.IsNil():
		case isHandle(v.Type().Elem()):
			v.Set(reflect.ValueOf(handles.of(v.Interface()).Canonical()).Convert(v.Type()))
		default:
			unbox(v.Elem())
		}
	case reflect.Struct:
		if isHandle(v.Type()) {
			return
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() || v.Type().Field(i).Anonymous {
				unbox(v.Field(i))
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			unbox(v.Index(i))
		}
	case reflect.Map:
		if v.IsNil() {
			return
		}
		out := reflect.MakeMapWithSize(v.Type(), v.Len()) // in place, a NaN key would be another one each time
		for it := v.MapRange(); it.Next(); {
			e := reflect.New(v.Type().Elem()).Elem()
			e.Set(it.Value())
			unbox(e)
			out.SetMapIndex(it.Key(), e)
		}
		v.Set(out)
	}
}

// unboxDynamic gives the value in an interface its own type back; invalid for
// garbage.
func unboxDynamic(e reflect.Value) reflect.Value {
	switch b := e.Interface().(type) {
	case boxTime:
		var t time.Time
		if t.UnmarshalBinary(b) != nil {
			return reflect.Value{}
		}
		return reflect.ValueOf(t)
	case boxNil:
		return nilOf(b)
	}
	if to := unboxed[e.Type()]; to != nil {
		return e.Convert(to)
	}
	want := registered.asRegistered(e.Type())
	switch {
	case want == nil:
	case want.Kind() == reflect.Pointer && e.Kind() != reflect.Pointer:
		p := reflect.New(e.Type())
		p.Elem().Set(e)
		e = p
	case want.Kind() != reflect.Pointer && e.Kind() == reflect.Pointer:
		if to := unboxed[e.Type().Elem()]; to != nil {
			return e.Elem().Convert(to)
		}
		e = e.Elem()
	}
	c := reflect.New(e.Type()).Elem()
	c.Set(e)
	unbox(c)
	return c
}
