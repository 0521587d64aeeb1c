package manager

import (
	"fmt"
	"reflect"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// encode appends a value. The value may contain proxies, but no files or other objects that would
// have to be kept.
func encode[T any](b []byte, c *codec.Type[T], v *T) ([]byte, error) {
	if c.Carries() && len(c.Attached(v)) > 0 {
		return b, codecError("encoded", errCarries)
	}
	out, err := c.Append(b, v)
	if err != nil {
		return b, codecError("encoded", err)
	}
	if c.Carries() {
		if files := c.FilesOf(out[len(b):]); len(files) > 0 {
			objects.ForgetFiles(files)
			return b, codecError("encoded", errCarries)
		}
	}
	return out, nil
}

func decode[T any](c *codec.Type[T], b []byte, v *T) error {
	if err := c.Decode(b, v); err != nil {
		return codecError("decoded", err)
	}
	return nil
}

func codecError(doing string, why error) error {
	return cause.With(&mp.CodecError{What: "value", Doing: doing, Text: why.Error(), Stack: codec.StackOf(why)}, why)
}

// write writes a value into a request.
func write[T any](r *request, c *codec.Type[T], v *T) error {
	at := r.Open()
	out, err := encode(r.B, c, v)
	if err != nil {
		return err
	}
	if r.B = out; len(out)-at > store.RefSize {
		r.s.stored(out[at:])
	}
	r.Close(at)
	return nil
}

func writeAll[T any](r *request, c *codec.Type[T], elements []T) error {
	for i := range elements {
		if err := write(r, c, &elements[i]); err != nil {
			return err
		}
	}
	return nil
}

func read[T any](in *store.Reader, c *codec.Type[T], v *T) error { return decode(c, in.Bytes(), v) }

// readIf reads a value that may be missing.
func readIf[T any](in *store.Reader, c *codec.Type[T], v *T, there *bool) error {
	if *there = in.Bool(); !*there {
		return nil
	}
	return read(in, c, v)
}

// checkKey returns an error if the encodings of values of type t cannot tell different values
// apart. The error says why.
func checkKey(t reflect.Type, path string) error {
	switch t.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Chan, reflect.UnsafePointer:
		return fmt.Errorf("manager: %s is a %v, which cannot be a key: use numbers, strings, and arrays and structs of them", path, t.Kind())
	case reflect.Array:
		return checkKey(t.Elem(), path+"[]")
	case reflect.Struct:
		for f := range t.Fields() {
			if f.IsExported() {
				if err := checkKey(f.Type, path+"."+f.Name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
