package mp

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/go-multiprocessing/mp/internal/caller"
	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/errtree"
	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/task"
)

// Register makes f callable in worker processes. The function's name in all processes is the import
// path of the calling package, a dot, and name. Call Register in package variables or init
// functions, so that every process of the program registers f:
//
//	var square = mp.Register("square", func(ctx context.Context, n int) (int, error) {
//		return n * n, nil
//	})
//
// A function literal must not mention the variable that it is assigned to. If f calls itself,
// declare the variable first and assign it in an init function.
//
// The argument and the result are copied. A function with several arguments takes a struct, and a
// function without an argument takes struct{}. Use [RegisterAction] for a function without a
// result. Values of these types can be sent:
//
//   - numbers, strings and booleans;
//   - slices, arrays, maps, pointers, and structs with exported fields, of types that can be sent;
//   - any and other interfaces, if they hold registered types; see [RegisterType];
//   - types with a binary or text form of their own, such as time.Time, *big.Int and netip.Addr;
//   - objects of package ipc, such as [github.com/go-multiprocessing/mp/ipc.Mutex], which arrive as
//     the same object;
//   - *os.File, which arrives as a duplicate that the receiver must close.
//
// The keys of maps can have any of these types except pointers, slices and maps, and structs and
// arrays that contain them. [Init] checks the types.
//
// The value that arrives equals the value that was sent; nil stays nil. A [time.Time] keeps its
// nanoseconds and its location: UTC, time.Local, a location from [time.LoadLocation], or a fixed
// zone. If the receiver does not know the location, or has different rules for a location of that
// name, the time arrives in a fixed zone of the same name and offset. The same happens to a local
// time if the receiver's local zone differs. Monotonic clock readings are stripped, as by
// t.Round(0). A map with two keys that differ only in that reading cannot be sent.
//
// The context of a task ends when the context of its call ends. Its deadline is the call's deadline
// or the end of the task's [Timeout], whichever is earlier. Its values are those that functions
// registered with [RegisterBaggage] add.
//
// Arguments and results are copied several times on their way. Above about a megabyte,
// [github.com/go-multiprocessing/mp/ipc.Slab] and [github.com/go-multiprocessing/mp/ipc.Array] cost
// less and produce no garbage.
//
// Register panics if name is empty, is already registered, or contains a line break; if f is nil;
// and if it is called after Init.
func Register[In, Out any](name string, f func(ctx context.Context, arg In) (Out, error)) *Func[In, Out] {
	if f == nil {
		panic(fmt.Sprintf("mp: Register(%q): the function is nil", name))
	}
	fn := &Func[In, Out]{id: caller.Package() + "." + name, call: f}
	functions.add("Register", name, fn)
	return fn
}

// RegisterAction is like [Register], for a function whose only result is an error:
//
//	var greet = mp.RegisterAction("greet", func(ctx context.Context, name string) error {
//		_, err := fmt.Println("Hello,", name)
//		return err
//	})
//
// The result type of the Func is struct{}.
func RegisterAction[In any](name string, f func(ctx context.Context, arg In) error) *Func[In, struct{}] {
	if f == nil {
		panic(fmt.Sprintf("mp: RegisterAction(%q): the function is nil", name))
	}
	call := func(ctx context.Context, arg In) (struct{}, error) { return struct{}{}, f(ctx, arg) }
	fn := &Func[In, struct{}]{id: caller.Package() + "." + name, call: call}
	functions.add("RegisterAction", name, fn)
	return fn
}

// RegisterType makes it possible to send values of type T in interfaces: in fields, slices and maps
// whose type is any or an interface that T implements. Numbers, strings, booleans, []byte, []any,
// map[string]any and time.Time need no registration. Call RegisterType in package variables or init
// functions, like [Register].
//
// RegisterType panics if T is not a named type, if T or *T is already registered, and if it is
// called after [Init].
func RegisterType[T any]() {
	functions.mustBeOpen("RegisterType")
	if err := codec.Register(reflect.TypeFor[T]()); err != nil {
		panic("mp: RegisterType: " + err.Error())
	}
}

// RegisterError registers an error value, and returns it. If a task returns the value, alone or
// wrapped, errors.Is finds it in the error that arrives:
//
//	var ErrEmpty = mp.RegisterError(errors.New("the input is empty"))
//
// Processes identify the value by its text and the import path of the calling package. Call
// RegisterError in package variables or init functions, like [Register]. It panics if err is nil,
// if another error of the package with the same text is registered, and if it is called after
// [Init].
//
// These errors of the standard library need no registering:
//
//	bufio            ErrAdvanceTooFar ErrBufferFull ErrFinalToken ErrInvalidUnreadByte ErrInvalidUnreadRune ErrNegativeAdvance ErrNegativeCount ErrTooLong
//	bytes            ErrTooLarge
//	context          Canceled DeadlineExceeded
//	encoding/base32  CorruptInputError
//	encoding/base64  CorruptInputError
//	encoding/hex     ErrLength InvalidByteError
//	encoding/json    *SyntaxError
//	errors           ErrUnsupported
//	io               EOF ErrClosedPipe ErrNoProgress ErrShortBuffer ErrShortWrite ErrUnexpectedEOF
//	io/fs            *PathError ErrClosed ErrExist ErrInvalid ErrNotExist ErrPermission SkipAll SkipDir
//	os               *LinkError *SyscallError ErrDeadlineExceeded ErrNoDeadline ErrProcessDone
//	path             ErrBadPattern
//	path/filepath    ErrBadPattern
//	strconv          *NumError ErrRange ErrSyntax
//	syscall          Errno
//	time             *ParseError
//
// A *json.SyntaxError arrives with its Offset and its text. Package stderrors registers errors of
// packages that mp does not import: net, net/http, database/sql and others. Any other error arrives
// as its text only. An *exec.ExitError, for instance, loses its exit code; a task can return the
// code as its result instead.
//
// The size of an error is limited to 8192 errors in a tree that is at most 64 deep and 1024 wide,
// and to 4 MiB of texts and values, each at most 1 MiB. A longer text is cut and ends with a note.
// A larger value of a registered type arrives as its text.
func RegisterError(err error) error {
	functions.mustBeOpen("RegisterError")
	if err == nil {
		panic("mp: RegisterError: the error is nil")
	}
	if bad := errtree.RegisterSentinel(caller.Package()+": "+err.Error(), err); bad != nil {
		panic("mp: RegisterError: " + bad.Error())
	}
	return err
}

// RegisterErrorType makes errors of type E arrive as values of type E, so that errors.As finds
// them. It must be possible to send values of type E: its fields are exported, or it has
// AppendBinary and UnmarshalBinary methods. Use [RegisterErrorWrapper] for a type with a field of
// type error. Call RegisterErrorType in package variables or init functions, like [Register]. It
// panics if E is already registered, and if it is called after [Init].
func RegisterErrorType[E error]() {
	functions.mustBeOpen("RegisterErrorType")
	if err := errtree.RegisterType[E](); err != nil {
		panic("mp: RegisterErrorType: " + err.Error())
	}
}

// RegisterErrorWrapper makes errors of type E, which wrap another error, arrive as values of type E
// that wrap the same error. In the sender, parts returns everything in the error except the wrapped
// error; it must be possible to send values of type P. In the receiver, build makes an error from
// the parts and the error that Unwrap returned, which may be nil.
//
// Both functions must be safe for concurrent use and must not block. If one of them or Unwrap
// panics, or if the wrapped errors are more than 64 levels deep, no E arrives. The error then has
// the text of the original and wraps as much of the wrapped error as was sent.
//
// Call RegisterErrorWrapper in package variables or init functions, like [Register]. It panics if E
// is already registered, if E has no method Unwrap() error, if a function is nil, and if it is
// called after [Init].
func RegisterErrorWrapper[E error, P any](parts func(err E) P, build func(parts P, wrapped error) E) {
	functions.mustBeOpen("RegisterErrorWrapper")
	if parts == nil || build == nil {
		panic("mp: RegisterErrorWrapper: a function is nil")
	}
	if err := errtree.RegisterWrapper(parts, build); err != nil {
		panic("mp: RegisterErrorWrapper: " + err.Error())
	}
}

// function is implemented by *Func for all type arguments.
type function interface {
	Name() string
	check() error
	wire() link.FuncID
	handler() task.Handler
}

// A registry is a set of functions.
type registry struct {
	mu     sync.Mutex
	byName map[string]function
	sealed bool
	sorted []function
	once   sync.Once
	bad    error
}

var functions = registry{byName: map[string]function{}}

// add registers f. Its panics name the exported function, by.
func (r *registry) add(by, name string, f function) {
	r.mustBeOpen(by + "(" + name + ")")
	r.mu.Lock()
	defer r.mu.Unlock()

	if name == "" || strings.ContainsAny(name, "\n\r") {
		panic(fmt.Sprintf("mp: %s: %q is no name", by, name))
	}
	if r.byName[f.Name()] != nil {
		panic(fmt.Sprintf("mp: %s: the function %q is registered twice: give one another name", by, f.Name()))
	}
	r.byName[f.Name()] = f
}

func (r *registry) mustBeOpen(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sealed {
		panic("mp: " + what + " after mp.Init: register in package variables or init functions, so that workers have it too")
	}
}

// seal ends registration and checks the types of all functions, once. It returns the same error
// each time.
func (r *registry) seal() error {
	r.once.Do(func() {
		r.mu.Lock()
		defer r.mu.Unlock()

		r.sealed = true
		for _, f := range r.byName {
			r.sorted = append(r.sorted, f)
		}
		slices.SortFunc(r.sorted, func(a, b function) int { return strings.Compare(a.Name(), b.Name()) })

		for _, f := range r.sorted {
			if err := f.check(); err != nil {
				r.bad = fmt.Errorf("mp: the function %s cannot be called in another process: %w", f.Name(), err)
				return
			}
		}

		if err := codec.CheckRegistered(); err != nil {
			r.bad = fmt.Errorf("mp: a type registered with RegisterType cannot travel: %w", err)
			return
		}
		if err := errtree.Check(); err != nil {
			r.bad = fmt.Errorf("mp: a registered error type cannot travel (one that holds an error is for RegisterErrorWrapper): %w", err)
		}
	})
	return r.bad
}

// lookup returns the function registered under a name.
func (r *registry) lookup(name string) (function, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, ok := r.byName[name]
	return f, ok
}

// wires returns the names and the types' fingerprints of all functions.
func (r *registry) wires() []link.FuncID {
	ids := make([]link.FuncID, len(r.sorted))
	for i, f := range r.sorted {
		ids[i] = f.wire()
	}
	return ids
}
