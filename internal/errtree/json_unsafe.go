package errtree

import (
	"encoding/json"
	"reflect"
	"unsafe"
)

// syntaxError is the encoded form of a json.SyntaxError.
type syntaxError struct {
	Offset int64
	Text   string
}

// rebuilt returns the error. Its text is in a field that only package json can set. rebuilt sets
// the field through its address if the field exists.
func (s syntaxError) rebuilt() *json.SyntaxError {
	e := &json.SyntaxError{Offset: s.Offset}
	if text := reflect.ValueOf(e).Elem().FieldByName("msg"); text.IsValid() && text.Kind() == reflect.String {
		*(*string)(unsafe.Pointer(text.UnsafeAddr())) = s.Text
	}
	return e
}
