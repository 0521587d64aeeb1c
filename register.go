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
	"github.com/go-multiprocessing/mp/internal/runner"
)

// Register makes f callable in worker processes under the import path of the
// calling package and name. It belongs into package variables or init
// functions, so that every process of the program has it:
//
//	var square = mp.Register("square", func(ctx context.Context, n int) (int, error) {
//		return n * n, nil
//	})
//
// The argument and the result travel by value; several arguments go into a
// struct, and a function without one takes struct{}. A function without a result is for
// [RegisterAction]. What travels:
// numbers, strings, booleans, slices, arrays, maps, pointers and structs of such
// with exported fields, any and interfaces with registered types
// ([RegisterType]), types with a binary or text form of their own (time.Time,
// *big.Int, netip.Addr, …), shared objects (.Mutex, .Array, …), and *os.File, of
// which a duplicate arrives that the receiver has to close. Keys of maps can be any of these
// but pointers, slices and maps, or structs and arrays that hold some. [Init] checks the types.
//
// A value arrives equal: nil stays nil. A time.Time keeps its nanoseconds and its location: UTC,
// time.Local, what time.LoadLocation returned, or a fixed zone. If the receiver does not know the location,
// or knows other rules of that name, the time arrives in a fixed zone of the same name and offset. So does a
// local time where the receiver's local zone is another. Like t.Round(0), it has no monotonic clock
// reading. Two keys of a map that differ in that alone are an error. A function literal must not mention the
// variable that it is assigned to: declare the variable, assign it in init.
//
// The task's context ends with that of the call, and has its deadline, or that of its
// [Timeout]; of its values it has those that [RegisterBaggage] carries. An argument or
// result is copied some times on its way: above a megabyte or so a .Slab or .Array
// costs less, and leaves no memory behind.
//
// Register panics if the name is empty, taken or contains a line break, if f
// is nil, and after Init.
func Register[In, Out any](name string, f func(ctx context.Context, arg In) (Out, error)) *Func[In, Out] {
	if f == nil {
		panic(fmt.Sprintf("mp: Register(%q): the function is nil", name))
	}
	fn := &Func[In, Out]{id: caller.Package() + "." + name, call: f}
	functions.add("Register", name, fn)
	return fn
}

// RegisterAction is [Register] for a function that has no result but an error:
//
//	var greet = mp.RegisterAction("greet", func(ctx context.Context, name string) error {
//		_, err := fmt.Println("Hello,", name)
//		return err
//	})
//
// Its Func has the result type struct{}. It panics where Register does.
func RegisterAction[In any](name string, f func(ctx context.Context, arg In) error) *Func[In, struct{}] {
	if f == nil {
		panic(fmt.Sprintf("mp: RegisterAction(%q): the function is nil", name))
	}
	call := func(ctx context.Context, arg In) (struct{}, error) { return struct{}{}, f(ctx, arg) }
	fn := &Func[In, struct{}]{id: caller.Package() + "." + name, call: call}
	functions.add("RegisterAction", name, fn)
	return fn
}

// RegisterType lets values of type T travel in interfaces: in fields, slices
// and maps whose type is an interface that T implements, or any. Numbers,
// strings, booleans, []byte, []any, map[string]any and time.Time always can.
// Like [Register] it belongs into package variables or init functions. It panics
// if T is not a named type, or is registered already, as T or as *T.
func RegisterType[T any]() {
	functions.mustBeOpen("RegisterType")
	if err := codec.Register(reflect.TypeFor[T]()); err != nil {
		panic("mp: RegisterType: " + err.Error())
	}
}

// RegisterError makes an error value arrive as itself where a task returns it,
// alone or wrapped, so that errors.Is finds it, and returns it:
//
//	var ErrEmpty = mp.RegisterError(errors.New("the input is empty"))
//
// Both processes know it by the import path of the calling package and its
// text. Like [Register] it belongs into package variables or init functions. It
// panics if another error of the package with the same text is registered.
//
// These of the standard library need no registering:
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
// Of a *json.SyntaxError the Offset arrives, and the text of the error that was returned. Package
// stderrors has more, of packages that mp does not import: net, net/http, database/sql and others. Any
// other error arrives as its text, an *exec.ExitError for instance: return the exit code yourself.
//
// An error that travels is bounded: 8192 errors, 64 deep and 1024 wide, with 4 MiB of texts and
// values, 1 MiB each. A longer text is cut and ends in a note; a larger value of a registered type
// arrives as its text.
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

// RegisterErrorType makes errors of type E arrive as values of type E, so that
// errors.As finds them. The type must be able to travel like any other: its
// fields exported, or with AppendBinary and UnmarshalBinary. A type with a field of
// type error is for [RegisterErrorWrapper]. Like [Register] it belongs into package
// variables or init functions. It panics if the type is registered already.
func RegisterErrorType[E error]() {
	functions.mustBeOpen("RegisterErrorType")
	if err := errtree.RegisterType[E](); err != nil {
		panic("mp: RegisterErrorType: " + err.Error())
	}
}

// RegisterErrorWrapper makes errors of type E, which hold another error, arrive as
// values of type E that hold that error: parts returns what else is in one, which must
// be able to travel, and build makes one of that and the error that its Unwrap
// returned, nil if that was nil. Both must be safe for concurrent use and must not block.
// If one of them panics, or Unwrap does, or what E holds is nested too deeply to be sent
// (64 levels), the text arrives and what it holds as far as that was sent, but no E.
//
// Like [Register] it belongs into package variables or init functions. It panics if the
// type is registered already, has no method Unwrap() error, or a function is nil.
func RegisterErrorWrapper[E error, P any](parts func(err E) P, build func(parts P, wrapped error) E) {
	functions.mustBeOpen("RegisterErrorWrapper")
	if parts == nil || build == nil {
		panic("mp: RegisterErrorWrapper: a function is nil")
	}
	if err := errtree.RegisterWrapper(parts, build); err != nil {
		panic("mp: RegisterErrorWrapper: " + err.Error())
	}
}

// function is a *Func of any types.
type function interface {
	Name() string
	check() error
	wire() link.FuncID
	runner() runner.Handler
}

// registry is the program's set of functions.
type registry struct {
	mu     sync.Mutex
	byName map[string]function
	sealed bool
	sorted []function
	once   sync.Once
	bad    error
}

var functions = registry{byName: map[string]function{}}

// add registers f, for the exported function by.
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

// seal ends registration and checks every type once.
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

// lookup is for executors inside this process.
func (r *registry) lookup(name string) (function, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, ok := r.byName[name]
	return f, ok
}

// wires are the names and shapes of all functions.
func (r *registry) wires() []link.FuncID {
	ids := make([]link.FuncID, len(r.sorted))
	for i, f := range r.sorted {
		ids[i] = f.wire()
	}
	return ids
}
