package codec

import (
	"errors"
	"fmt"
	"reflect"
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
)

var boxTypes = []reflect.Type{
	reflect.TypeFor[boxInt](), reflect.TypeFor[boxInt8](), reflect.TypeFor[boxInt16](), reflect.TypeFor[boxInt32](),
	reflect.TypeFor[boxInt64](), reflect.TypeFor[boxUint](), reflect.TypeFor[boxUint8](), reflect.TypeFor[boxUint16](),
	reflect.TypeFor[boxUint32](), reflect.TypeFor[boxUint64](), reflect.TypeFor[boxFloat32](),
}

var plainTypes = []reflect.Type{
	reflect.TypeFor[int](), reflect.TypeFor[int8](), reflect.TypeFor[int16](), reflect.TypeFor[int32](),
	reflect.TypeFor[int64](), reflect.TypeFor[uint](), reflect.TypeFor[uint8](), reflect.TypeFor[uint16](),
	reflect.TypeFor[uint32](), reflect.TypeFor[uint64](), reflect.TypeFor[float32](),
}

var boxed, unboxed = func() (b, u map[reflect.Type]reflect.Type) {
	b, u = map[reflect.Type]reflect.Type{}, map[reflect.Type]reflect.Type{}
	for i := range boxTypes {
		b[plainTypes[i]], u[boxTypes[i]] = boxTypes[i], plainTypes[i]
	}
	return b, u
}()

var errTooDeep = errors.New("the value is cyclic or nested more than 10,000 deep")

// A walk says what must be done to values of a type around the CBOR library.
type walk int

const (
	walkNone  walk = iota
	walkDepth      // recursive: may be cyclic
	walkBox        // holds interfaces
)

// walkOf looks for interfaces and recursion in a type.
func walkOf(t reflect.Type) walk {
	return searchWalk(t, map[reflect.Type]bool{})
}

func searchWalk(t reflect.Type, above map[reflect.Type]bool) (w walk) {
	if above[t] {
		return walkDepth
	}
	if hasOwnForm(t) || t == timeType {
		return walkNone
	}
	above[t] = true
	defer delete(above, t)
	switch t.Kind() {
	case reflect.Interface:
		return walkBox
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return searchWalk(t.Elem(), above)
	case reflect.Struct:
		for f := range t.Fields() {
			w = max(w, searchWalk(f.Type, above))
		}
	}
	return w
}

var timeType = reflect.TypeFor[time.Time]()

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
	if hasOwnForm(v.Type()) || v.Type() == timeType {
		return v, nil
	}
	switch v.Kind() {
	case reflect.Interface:
		return b.walkInterface(v, depth)
	case reflect.Pointer:
		if v.IsNil() {
			return v, nil
		}
		e, err := b.walk(v.Elem(), depth+1)
		if err != nil || b.w == walkDepth {
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
	if !b.travels(t) {
		return v, fmt.Errorf("a %v in an interface: register the type with RegisterType", t)
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
		reflect.TypeFor[[]any](), reflect.TypeFor[map[string]any](), timeType:
		return true
	}
	return registered.travels(t)
}

func (b boxer) walkStruct(v reflect.Value, depth int) (reflect.Value, error) {
	out := v
	if b.w == walkBox {
		out = reflect.New(v.Type()).Elem()
		out.Set(v)
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() && !f.Anonymous || searchWalk(f.Type, map[reflect.Type]bool{v.Type(): true}) == walkNone {
			continue
		}
		e, err := b.walk(v.Field(i), depth+1)
		if err != nil {
			return v, err
		}
		if b.w == walkBox && out.Field(i).CanSet() {
			out.Field(i).Set(e)
		}
	}
	return out, nil
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
	if hasOwnForm(v.Type()) || v.Type() == timeType || walkOf(v.Type()) == walkNone {
		return
	}
	switch v.Kind() {
	case reflect.Interface:
		if !v.IsNil() {
			v.Set(unboxDynamic(v.Elem()))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			unbox(v.Elem())
		}
	case reflect.Struct:
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
		for it := v.MapRange(); it.Next(); {
			e := reflect.New(v.Type().Elem()).Elem()
			e.Set(it.Value())
			unbox(e)
			v.SetMapIndex(it.Key(), e)
		}
	}
}

// unboxDynamic gives the value in an interface its own type back.
func unboxDynamic(e reflect.Value) reflect.Value {
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
