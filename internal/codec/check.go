package codec

import (
	"encoding"
	"fmt"
	"math/big"
	"reflect"
	"runtime"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
)

var (
	bigFloatType        = reflect.TypeFor[big.Float]()
	errorType           = reflect.TypeFor[error]()
	binaryAppenderType  = reflect.TypeFor[encoding.BinaryAppender]()
	binaryMarshalType   = reflect.TypeFor[encoding.BinaryMarshaler]()
	binaryUnmarshalType = reflect.TypeFor[encoding.BinaryUnmarshaler]()
	textMarshalType     = reflect.TypeFor[encoding.TextMarshaler]()
	textUnmarshalType   = reflect.TypeFor[encoding.TextUnmarshaler]()
	cborMarshalType     = reflect.TypeFor[cbor.Marshaler]()
	cborUnmarshalType   = reflect.TypeFor[cbor.Unmarshaler]()
)

// isPlain reports whether values of t consist of numbers only, so that any bytes of the right
// length are a valid value.
func isPlain(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		return true
	case reflect.Array:
		return isPlain(t.Elem()) && !hasOwnForm(t.Elem())
	case reflect.Struct:
		for f := range t.Fields() {
			if !isPlain(f.Type) || hasOwnForm(f.Type) {
				return false
			}
		}
		return true
	}

	return false
}

func both(t, marshal, unmarshal reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(marshal) && p.Implements(unmarshal)
}

// marshalsBinary reports whether t has a binary form of its own. A pointer or an interface has
// none, because that form could not represent nil.
func marshalsBinary(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface || isTimeShell(t) {
		return false
	}
	return both(t, binaryMarshalType, binaryUnmarshalType) || both(t, binaryAppenderType, binaryUnmarshalType)
}

// hasOwnForm reports whether t marshals itself in a way that the codec uses.
func hasOwnForm(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface || isTimeShell(t) {
		return false
	}
	return marshalsBinary(t) || both(t, textMarshalType, textUnmarshalType) || both(t, cborMarshalType, cborUnmarshalType)
}

// check returns an error that names the first part of t that cannot be sent.
func check(t reflect.Type) error {
	if isDerived(t) {
		return derived(t, t.String())
	}
	if marshalsBinary(t) {
		return checkPromoted(t, t.String())
	}
	if isPlain(t) && !hasOwnForm(t) {
		return checkPlain(t, t.String())
	}
	c := checker{seen: map[reflect.Type]bool{}}
	return c.check(t, t.String())
}

// checkPlain finds unexported fields among numbers. It admits complex numbers, since the whole
// value is copied.
func checkPlain(t reflect.Type, path string) error {
	switch t.Kind() {
	case reflect.Array:
		return checkPlain(t.Elem(), path+"[]")
	case reflect.Struct:
		for f := range t.Fields() {
			if !f.IsExported() && f.Name != "_" && !f.Anonymous {
				return unexported(path, f)
			}
			if err := checkPlain(f.Type, path+"."+f.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// derived returns the error for a type that has the methods of a handle type but is not a handle
// type.
func derived(t reflect.Type, path string) error {
	return fmt.Errorf("%s: %v has the methods of a shared object and is another type: send a pointer to the object itself, in a field with a name", path, t)
}

func unexported(path string, f reflect.StructField) error {
	return fmt.Errorf("%s.%s is unexported and would arrive as zero: export it, or give the type AppendBinary and UnmarshalBinary", path, f.Name)
}

type checker struct{ seen map[reflect.Type]bool }

func (c checker) check(t reflect.Type, path string) error {
	if c.seen[t] {
		return nil
	}

	c.seen[t] = true
	if t == fileType {
		return fmt.Errorf("%s is an os.File: send a pointer to it", path)
	}

	if t == bigFloatType {
		return fmt.Errorf("%s is a big.Float, whose text form loses precision: send its GobEncode bytes", path)
	}

	if isDerived(t) {
		return derived(t, path)
	}
	if err := checkHalfForm(t, path); err != nil {
		return err
	}
	if hasOwnForm(t) {
		return c.checkNestedForm(t, path)
	}

	switch t.Kind() {
	case reflect.Func, reflect.Chan, reflect.UnsafePointer, reflect.Uintptr:
		return fmt.Errorf("%s is a %v, which means nothing in another process%s", path, t.Kind(), instead[t.Kind()])
	case reflect.Complex64, reflect.Complex128:
		return fmt.Errorf("%s is a complex number inside a value that is not made of numbers alone: send its parts", path)
	case reflect.Pointer:
		if t == filePointer {
			return nil
		}
		if pointsToItself(t) {
			return fmt.Errorf("%s is a pointer that leads to nothing but pointers", path)
		}
		return c.check(t.Elem(), path)
	case reflect.Slice, reflect.Array:
		return c.check(t.Elem(), path+"[]")
	case reflect.Map:
		if err := c.checkKey(t.Key(), path+"[key]"); err != nil {
			return err
		}
		return c.check(t.Elem(), path+"[]")
	case reflect.Interface:
		return c.checkInterface(t, path)
	case reflect.Struct:
		return c.checkStruct(t, path)
	}
	return nil
}

// pointsToItself finds types like type P *P, on which the CBOR library loops forever.
func pointsToItself(t reflect.Type) bool {
	slow := t
	for odd := false; t.Kind() == reflect.Pointer; odd = !odd {
		if t = t.Elem(); odd {
			slow = slow.Elem()
		}
		if t == slow {
			return true
		}
	}
	return false
}

// checkNestedForm makes sure that the CBOR library uses the form of t. Inside other values the
// library does not use AppendBinary.
func (c checker) checkNestedForm(t reflect.Type, path string) error {
	if both(t, binaryAppenderType, binaryUnmarshalType) && !reflect.PointerTo(t).Implements(binaryMarshalType) {
		return fmt.Errorf("%s: %v has AppendBinary but no MarshalBinary, which it needs inside another value", path, t)
	}
	return checkPromoted(t, path)
}

// checkHalfForm finds types for which the CBOR library would use a form in one direction only.
func checkHalfForm(t reflect.Type, path string) error {
	half := func(have, lacks string) error {
		return fmt.Errorf("%s: %v has %s but no %s, and would arrive changed: give it both, or another type", path, t, have, lacks)
	}

	p := reflect.PointerTo(t)
	switch {
	case p.Implements(cborMarshalType) != p.Implements(cborUnmarshalType):
		return half("one of MarshalCBOR and UnmarshalCBOR", "other")
	case p.Implements(cborMarshalType):
	case p.Implements(binaryMarshalType):
		if !p.Implements(binaryUnmarshalType) {
			return half("MarshalBinary", "UnmarshalBinary")
		}
	case p.Implements(textMarshalType):
		if !p.Implements(textUnmarshalType) {
			return half("MarshalText", "UnmarshalText")
		}
	case p.Implements(textUnmarshalType) && t.Kind() == reflect.String:
		return half("UnmarshalText", "MarshalText")
	case p.Implements(binaryUnmarshalType) && !p.Implements(binaryAppenderType) && t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return half("UnmarshalBinary", "MarshalBinary")
	}
	return nil
}

// checkPromoted finds structs that marshal themselves with a method of an embedded field. Such a
// method does not know the other fields.
func checkPromoted(t reflect.Type, path string) error {
	if t.Kind() != reflect.Struct || strings.Contains(t.Name(), "[") {
		return nil // methods of generic types cannot be distinguished
	}
	for f := range t.Fields() {
		if f.Anonymous && (t.NumField() > 1 || f.Type.Kind() == reflect.Pointer) && formFrom(t, f.Type) {
			return fmt.Errorf("%s would travel as its embedded %s alone, whose methods it has: give the field a name", path, f.Name)
		}
	}
	return nil
}

// formFrom reports whether t marshals itself with a method of its embedded field of type e.
func formFrom(t, e reflect.Type) bool {
	if e.Kind() != reflect.Pointer {
		e = reflect.PointerTo(e)
	}

	switch p := reflect.PointerTo(t); {
	case p.Implements(cborMarshalType):
		return e.Implements(cborMarshalType) && promoted(t.MethodByName("MarshalCBOR")) && promoted(p.MethodByName("MarshalCBOR"))
	case p.Implements(binaryMarshalType):
		return e.Implements(binaryMarshalType) && promoted(t.MethodByName("MarshalBinary")) && promoted(p.MethodByName("MarshalBinary"))
	case p.Implements(binaryAppenderType):
		return e.Implements(binaryAppenderType) && promoted(t.MethodByName("AppendBinary")) && promoted(p.MethodByName("AppendBinary"))
	}
	p := reflect.PointerTo(t)
	return e.Implements(textMarshalType) && promoted(t.MethodByName("MarshalText")) && promoted(p.MethodByName("MarshalText"))
}

// appendsForEmbedded reports whether AppendBinary belongs to an embedded field while t has a
// MarshalBinary of its own.
func appendsForEmbedded(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	both := func(name string) bool { return promoted(t.MethodByName(name)) && promoted(p.MethodByName(name)) }
	return t.Kind() == reflect.Struct && p.Implements(binaryAppenderType) && p.Implements(binaryMarshalType) &&
		both("AppendBinary") && !both("MarshalBinary")
}

// promoted reports whether the compiler generated a method. For each method of T, the compiler also
// generates one of *T.
func promoted(m reflect.Method, ok bool) bool {
	if !ok {
		return true
	}
	file, _ := runtime.FuncForPC(m.Func.Pointer()).FileLine(m.Func.Pointer())
	return file == "<autogenerated>"
}

func (c checker) checkKey(t reflect.Type, path string) error {
	if err := checkHalfForm(t, path); err != nil {
		return err
	}

	switch t.Kind() {
	case reflect.Bool, reflect.String, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return nil
	}

	if hasOwnForm(t) {
		return c.checkNestedForm(t, path)
	}

	switch t.Kind() {
	case reflect.Array:
		return c.checkKey(t.Elem(), path+"[]")
	case reflect.Struct:
		return c.checkKeyFields(t, path)
	case reflect.Interface:
		return c.checkInterface(t, path)
	}
	return fmt.Errorf("%s is a %v, which cannot be a key or part of one: only numbers, strings, booleans, interfaces, types with a binary or text form, and arrays and structs of these travel in keys", path, t)
}

func (c checker) checkKeyFields(t reflect.Type, path string) error {
	for f := range t.Fields() {
		if f.Name == "_" {
			continue
		}
		if !f.IsExported() && !f.Anonymous {
			return unexported(path, f)
		}
		if err := c.checkKey(f.Type, path+"."+f.Name); err != nil {
			return err
		}
	}
	return nil
}

func (c checker) checkInterface(t reflect.Type, path string) error {
	if t.Implements(errorType) {
		return fmt.Errorf("%s is an error, which cannot travel inside a value: return it as the function's error, or send its text", path)
	}
	if t.NumMethod() == 0 {
		return nil // basic values are always admitted; others are checked when they occur
	}
	if !registeredFor(t) {
		return fmt.Errorf("%s is the interface %v, for which no type is registered: call RegisterType for each that travels in it", path, t)
	}
	return nil
}

func (c checker) checkStruct(t reflect.Type, path string) error {
	names := map[string]string{}
	for f := range t.Fields() {
		at := path + "." + f.Name
		if f.Name == "_" {
			continue
		}

		if !f.IsExported() && !f.Anonymous {
			return unexported(path, f)
		}
		if err := c.checkField(f, at, names); err != nil {
			return err
		}
		if err := c.check(f.Type, at); err != nil {
			return err
		}
	}
	return nil
}

// checkField finds fields that the CBOR library would drop silently: those with the tag "-", and
// two fields, possibly embedded, with the same name.
func (c checker) checkField(f reflect.StructField, at string, names map[string]string) error {
	tag, ok := f.Tag.Lookup("cbor")
	if !ok {
		tag = f.Tag.Get("json")
	}

	name, opts, _ := strings.Cut(tag, ",")
	if name == "-" {
		return fmt.Errorf("%s has a tag that drops it: remove the tag, or tag it cbor:\"%s\"", at, f.Name)
	}

	for opt := range strings.SplitSeq(opts, ",") {
		k := f.Type.Kind()
		if _, ok := reflect.PointerTo(f.Type).MethodByName("IsZero"); ok && opt == "omitzero" && f.Type != reflect.TypeFor[time.Time]() {
			return fmt.Errorf("%s has a tag with omitzero, by which what its IsZero says is zero would arrive as zero: tag it cbor:\"%s\"", at, f.Name)
		}
		if (opt == "omitempty" || opt == "omitzero") && (k == reflect.Slice || k == reflect.Map) {
			return fmt.Errorf("%s has a tag with %s, by which an empty %v would arrive as nil: tag it cbor:\"%s\"", at, opt, k, f.Name)
		}
	}

	if f.Anonymous && name == "" {
		return c.checkEmbedded(f, at, names)
	}
	if name == "" {
		name = f.Name
	}
	if other, taken := names[name]; taken {
		return fmt.Errorf("%s and %s would travel under one name, %q, and one be lost: give one a cbor tag", other, at, name)
	}
	names[name] = at
	return nil
}

func (c checker) checkEmbedded(f reflect.StructField, at string, names map[string]string) error {
	t := f.Type
	if t.Kind() == reflect.Pointer {
		if !f.IsExported() {
			return fmt.Errorf("%s is an embedded pointer to an unexported type, which cannot be set on arrival", at)
		}
		t = t.Elem()
	}

	if t.Kind() != reflect.Struct || hasOwnForm(t) {
		if !f.IsExported() {
			return fmt.Errorf("%s is unexported and would arrive as zero: export it", at)
		}
		if other, taken := names[f.Name]; taken {
			return fmt.Errorf("%s and %s would travel under one name", other, at)
		}
		names[f.Name] = at
		return nil
	}

	if f.Type.Kind() == reflect.Pointer {
		return fmt.Errorf("%s is an embedded pointer, whose nil would be lost: give the field a name", at)
	}

	for g := range t.Fields() {
		if g.Name == "_" || !g.IsExported() && !g.Anonymous {
			continue // checkStruct reports it for the embedded type itself
		}
		if err := c.checkField(g, at+"."+g.Name, names); err != nil {
			return err
		}
	}
	return nil
}

// instead suggests replacements for kinds that mean nothing in another process.
var instead = map[reflect.Kind]string{
	reflect.Chan: ": a Queue or a pipe does",
	reflect.Func: ": register it, and send what it needs",
}
