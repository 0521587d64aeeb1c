package codec

import (
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"
)

// basic lists the types whose values may be in interfaces without being registered. Their tags
// start at firstBasic.
var basic = []reflect.Type{
	reflect.TypeFor[bool](), reflect.TypeFor[string](), reflect.TypeFor[int](), reflect.TypeFor[int8](), reflect.TypeFor[int16](),
	reflect.TypeFor[int32](), reflect.TypeFor[int64](), reflect.TypeFor[uint](), reflect.TypeFor[uint8](), reflect.TypeFor[uint16](),
	reflect.TypeFor[uint32](), reflect.TypeFor[uint64](), reflect.TypeFor[float32](), reflect.TypeFor[float64](), reflect.TypeFor[[]byte](),
	reflect.TypeFor[[]any](), reflect.TypeFor[map[string]any](), reflect.TypeFor[time.Time](),
}

const firstBasic = 0xc000

// tagOf returns the tag of a type, and whether its values may be in interfaces.
func tagOf(t reflect.Type) (tag uint64, travels bool) {
	if i := slices.Index(basic, t); i >= 0 {
		return firstBasic + uint64(i), true
	}
	if !registered.travels(t) {
		return 0, false
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return tagNumber(t), true
}

// byTag returns the type of a tag, or nil if there is none.
func byTag(tag uint64) reflect.Type {
	if i := tag - firstBasic; i < uint64(len(basic)) {
		return basic[i]
	}
	return registered.byNumber(tag)
}

func appendDynamic(buf []byte, v reflect.Value, depth int) ([]byte, error) {
	switch {
	case depth > maxDepth:
		return buf, errTooDeep
	case v.IsNil():
		return append(buf, null), nil
	}

	e := v.Elem()
	t := e.Type()
	tag, ok := tagOf(t)
	if !ok {
		return buf, fmt.Errorf("a %v in an interface: register the type with RegisterType", t)
	}

	if err := checkDynamic(t); err != nil {
		return buf, err
	}
	return coderOf(t).append(appendHead(buf, majorTag, tag), e, depth+1)
}

func decodeDynamic(r *reader, v reflect.Value) error {
	if r.null() {
		return nil
	}
	tag, err := r.expect(majorTag)
	if err != nil {
		return err
	}

	t := byTag(tag)
	if t == nil || !t.AssignableTo(v.Type()) {
		return fmt.Errorf("the tag %#x stands for nothing that can be in a %v", tag, v.Type())
	}
	if err := checkDynamic(t); err != nil {
		return err
	}

	e := reflect.New(t).Elem()
	if err := r.into(coderOf(t), e); err != nil {
		return err
	}
	v.Set(e)
	return nil
}

var dynamic sync.Map // of reflect.Type to the error of checking it, or nil

// checkDynamic is like check, but for a type that occurred in an interface.
func checkDynamic(t reflect.Type) error {
	bad, ok := dynamic.Load(t)
	if !ok {
		bad, _ = dynamic.LoadOrStore(t, checker{seen: map[reflect.Type]bool{}}.check(t, t.String()))
	}
	err, _ := bad.(error)
	return err
}
