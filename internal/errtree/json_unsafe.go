package errtree

import (
	"encoding/json"
	"reflect"
	"unsafe"
)

// syntaxError is what travels of a json.SyntaxError.
type syntaxError struct {
	Offset int64
	Text   string
}

// rebuilt returns the error. Its text is in a field that only package json can set, which is set here if it is there.
func (s syntaxError) rebuilt() *json.SyntaxError {
	e := &json.SyntaxError{Offset: s.Offset}
	if text := reflect.ValueOf(e).Elem().FieldByName("msg"); text.IsValid() && text.Kind() == reflect.String {
		*(*string)(unsafe.Pointer(text.UnsafeAddr())) = s.Text
	}
	return e
}
