//go:build linux

package ipc_test

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

// Every method of an object returns an error if the object is closed or was not made by its
// constructor.
func TestClosedShared(t *testing.T) {
	ctx := t.Context()
	e := newEverything(t)
	held := must(e.Recursive.Lock(ctx))
	for _, o := range []interface{ Close() error }{
		e.Mutex, e.RW, e.Recursive, e.Semaphore, e.Bounded, e.Cond, e.Barrier, e.Group, e.Once, e.Value, e.Guarded, e.Number, e.Large, e.Memory, e.List[0], e.Anys[1].(*ipc.Array[int8]),
	} {
		for range 2 {
			if err := o.Close(); err != nil {
				t.Errorf("%T: %v", o, err)
			}
		}
	}

	if err := held.Unlock(); !errors.Is(err, mp.ErrClosed) {
		t.Error(err)
	}
	everyMethod(t, e, mp.ErrClosed)
	if e.Large.Slice() != nil || e.Memory.Bytes() != nil || e.Anys[1].(*ipc.Array[int8]).Slice() != nil {
		t.Error("a slice of what is closed")
	}

	everyMethod(t, everything{
		Mutex: &ipc.Mutex{}, RW: &ipc.RWMutex{}, Recursive: &ipc.RecursiveMutex{}, Semaphore: &ipc.Semaphore{}, Bounded: &ipc.BoundedSemaphore{}, Cond: &ipc.Cond{},
		Barrier: &ipc.Barrier{}, Group: &ipc.WaitGroup{}, Once: &ipc.Once{}, Value: &ipc.Value[[3]int]{}, Guarded: &ipc.Value[int]{}, Number: &ipc.Atomic[float64]{},
		Large: &ipc.Array[uint16]{}, Memory: &ipc.SharedMemory{}, List: []*ipc.Event{{}},
	}, nil)
}

// everyMethod calls all methods that can fail. If want is nil, any error will do.
func everyMethod(t *testing.T, e everything, want error) {
	t.Helper()
	nothing := func() error { return nil }
	for _, o := range []any{e.Mutex, e.RW, e.Recursive, e.Semaphore, e.Bounded, e.Cond, e.Barrier, e.Group, e.Once, e.Value, e.Number, e.Large, e.Memory, e.List[0]} {
		v := reflect.ValueOf(o)
		for i := range v.NumMethod() {
			m := v.Type().Method(i)
			out := m.Type.NumOut()
			if out == 0 || m.Type.Out(out-1) != reflect.TypeFor[error]() || m.Name == "Close" || m.Name == "UnmarshalBinary" {
				continue
			}
			args := []reflect.Value{v}
			for a := 1; a < m.Type.NumIn(); a++ {
				switch in := m.Type.In(a); {
				case in == reflect.TypeFor[context.Context]():
					args = append(args, reflect.ValueOf(t.Context()))
				case in == reflect.TypeOf(nothing):
					args = append(args, reflect.ValueOf(nothing))
				case in.Kind() == reflect.Func:
					args = append(args, reflect.MakeFunc(in, func([]reflect.Value) []reflect.Value {
						t.Errorf("%T.%s called its function", o, m.Name)
						return []reflect.Value{reflect.Zero(in.Out(0))}
					}))
				default:
					args = append(args, reflect.Zero(in))
				}
			}
			err, _ := m.Func.Call(args)[out-1].Interface().(error)
			if err == nil || want != nil && !errors.Is(err, want) {
				t.Errorf("%T.%s: %v", o, m.Name, err)
			}
		}
	}
}
