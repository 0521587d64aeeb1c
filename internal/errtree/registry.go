package errtree

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/protect"
)

// A sentinelTable knows the errors that are compared by identity.
type sentinelTable struct {
	mu    sync.RWMutex
	names map[error]string
	errs  map[string]error
}

var sentinels = newSentinels()

func newSentinels() *sentinelTable {
	t := &sentinelTable{names: map[error]string{}, errs: map[string]error{}}
	for name, err := range map[string]error{
		"context.Canceled": context.Canceled, "context.DeadlineExceeded": context.DeadlineExceeded,
		"io.EOF": io.EOF, "io.ErrUnexpectedEOF": io.ErrUnexpectedEOF, "io.ErrClosedPipe": io.ErrClosedPipe,
		"io.ErrShortWrite": io.ErrShortWrite, "io.ErrShortBuffer": io.ErrShortBuffer, "io.ErrNoProgress": io.ErrNoProgress,
		"fs.ErrInvalid": fs.ErrInvalid, "fs.ErrPermission": fs.ErrPermission, "fs.ErrExist": fs.ErrExist,
		"fs.ErrNotExist": fs.ErrNotExist, "fs.ErrClosed": fs.ErrClosed, "fs.SkipDir": fs.SkipDir, "fs.SkipAll": fs.SkipAll,
		"os.ErrDeadlineExceeded": os.ErrDeadlineExceeded, "os.ErrProcessDone": os.ErrProcessDone, "os.ErrNoDeadline": os.ErrNoDeadline,
		"bufio.ErrAdvanceTooFar": bufio.ErrAdvanceTooFar, "bufio.ErrBufferFull": bufio.ErrBufferFull, "bufio.ErrFinalToken": bufio.ErrFinalToken,
		"bufio.ErrInvalidUnreadByte": bufio.ErrInvalidUnreadByte, "bufio.ErrInvalidUnreadRune": bufio.ErrInvalidUnreadRune,
		"bufio.ErrNegativeAdvance": bufio.ErrNegativeAdvance, "bufio.ErrNegativeCount": bufio.ErrNegativeCount, "bufio.ErrTooLong": bufio.ErrTooLong,
		"bytes.ErrTooLarge": bytes.ErrTooLarge, "encoding/hex.ErrLength": hex.ErrLength,
		"path.ErrBadPattern": path.ErrBadPattern, "path/filepath.ErrBadPattern": filepath.ErrBadPattern,
		"errors.ErrUnsupported": errors.ErrUnsupported, "strconv.ErrRange": strconv.ErrRange, "strconv.ErrSyntax": strconv.ErrSyntax,
	} {
		_ = t.add(name, err)
	}

	return t
}

// RegisterSentinel registers err under name. err then keeps its identity: in another process, it
// arrives as the error that is registered there under the same name.
func RegisterSentinel(name string, err error) error {
	if err == nil || !isComparable(err) {
		return fmt.Errorf("%T cannot be a sentinel: it is not comparable", err)
	}
	return sentinels.add(name, err)
}

func (t *sentinelTable) add(name string, err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.errs[name] != nil || t.names[err] != "" {
		return fmt.Errorf("the error %q is registered already", name)
	}
	t.errs[name], t.names[err] = err, name
	return nil
}

func (t *sentinelTable) nameOf(err error) string {
	if !isComparable(err) {
		return ""
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.names[err]
}

func (t *sentinelTable) byName(name string) error {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.errs[name]
}

// An errorType encodes the values of one type. rebuild gets the wrapped error if the type wraps
// one.
type errorType struct {
	name    string
	holds   bool
	encode  func(error) ([]byte, error)
	rebuild func(data []byte, wrapped error) (error, error)
}

type typeTable struct {
	mu     sync.RWMutex
	byType map[reflect.Type]*errorType
	byName map[string]*errorType
	checks []func() error
}

var types = newTypes()

// RegisterType makes errors of type E arrive as values of type E.
func RegisterType[E error]() error {
	t := reflect.TypeFor[E]()
	if t.Kind() == reflect.Interface {
		return fmt.Errorf("%v is an interface: register the types that implement it", t)
	}

	c := codecOf[E]()
	return types.add(t, &errorType{
		encode: func(err error) ([]byte, error) {
			c, bad := c()
			if bad != nil {
				return nil, bad
			}
			v := err.(E)
			return c.Append(nil, &v)
		},
		rebuild: func(data []byte, _ error) (error, error) {
			c, bad := c()
			if bad != nil {
				return nil, bad
			}
			var v E
			err := c.Decode(data, &v)
			return v, err
		},
	}, func() error { _, err := c(); return err })
}

// codecOf returns a function that does what codec.For does, but rejects types with files: an error
// must not keep a file open for its receiver.
func codecOf[T any]() func() (*codec.Type[T], error) {
	return sync.OnceValues(func() (*codec.Type[T], error) {
		c, err := codec.For[T]()
		if err == nil && c.Files() {
			return nil, fmt.Errorf("%v holds a file: return that as a result", reflect.TypeFor[T]())
		}
		return c, err
	})
}

// RegisterWrapper registers a type that wraps at most one error. P contains its other data, which
// parts returns and build takes. Both are the user's functions.
func RegisterWrapper[E error, P any](parts func(E) P, build func(p P, wrapped error) E) error {
	t := reflect.TypeFor[E]()
	switch {
	case t.Kind() == reflect.Interface:
		return fmt.Errorf("%v is an interface: register the types that implement it", t)
	case !t.Implements(reflect.TypeFor[interface{ Unwrap() error }]()):
		return fmt.Errorf("%v has no method Unwrap() error", t)
	}

	e, check := wrapper(parts, build)
	encode, rebuild := e.encode, e.rebuild
	e.encode = func(err error) (data []byte, bad error) {
		bad = protect.Call(func() (bad error) { data, bad = encode(err); return bad })
		return data, bad
	}
	e.rebuild = func(data []byte, wrapped error) (err, bad error) {
		bad = protect.Call(func() (bad error) { err, bad = rebuild(data, wrapped); return bad })
		return err, bad
	}

	return types.add(t, e, check)
}

// Check returns the first error that the checks of the registered types return.
func Check() error {
	types.mu.RLock()
	defer types.mu.RUnlock()
	for _, check := range types.checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (t *typeTable) add(rt reflect.Type, e *errorType, check func() error) error {
	base := rt
	if rt.Kind() == reflect.Pointer {
		base = rt.Elem()
	}
	e.name = base.PkgPath() + "." + base.Name()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byType[rt] != nil || t.byName[e.name] != nil {
		return fmt.Errorf("the error type %v is registered already", rt)
	}
	t.byType[rt], t.byName[e.name] = e, e
	if check != nil {
		t.checks = append(t.checks, check)
	}
	return nil
}

func (t *typeTable) encode(err error) (string, []byte) {
	t.mu.RLock()
	e := t.byType[reflect.TypeOf(err)]
	t.mu.RUnlock()
	if e == nil || isNil(err) {
		return "", nil
	}
	data, bad := e.encode(err)
	if bad != nil {
		return "", nil
	}
	return e.name, data
}

// decode returns the value of a node's type, or nil if it cannot be rebuilt. holds reports whether
// the type wraps the errors that the node wraps.
func (t *typeTable) decode(n *node, kids []error) (holds bool, self error) {
	t.mu.RLock()
	e := t.byName[n.Type]
	t.mu.RUnlock()
	if e == nil || e.holds && (n.Cut || len(kids) > 1) {
		return false, nil
	}

	var wrapped error
	if len(kids) > 0 {
		wrapped = kids[0]
	}

	self, bad := e.rebuild(n.Value, wrapped)
	if bad != nil || isNil(self) {
		return false, nil
	}
	return e.holds, self
}

// isNil reports whether err is a nil pointer.
func isNil(err error) bool {
	v := reflect.ValueOf(err)
	return v.Kind() == reflect.Pointer && v.IsNil()
}

func wrapper[E error, P any](parts func(E) P, build func(P, error) E) (e *errorType, check func() error) {
	c := codecOf[P]()
	return &errorType{
		holds: true,
		encode: func(err error) ([]byte, error) {
			c, bad := c()
			if bad != nil {
				return nil, bad
			}

			p := parts(err.(E))
			return c.Append(nil, &p)
		},
		rebuild: func(data []byte, wrapped error) (error, error) {
			c, bad := c()
			if bad != nil {
				return nil, bad
			}
			var p P
			if err := c.Decode(data, &p); err != nil {
				return nil, err
			}

			built := false
			defer func() {
				if !built { // build panicked
					c.Lose(data)
				}
			}()
			err := build(p, wrapped)
			built = true
			return err, nil
		},
	}, func() error { _, err := c(); return err }
}

func newTypes() *typeTable {
	t := &typeTable{byType: map[reflect.Type]*errorType{}, byName: map[string]*errorType{}}

	addOwn(t, func(e *fs.PathError) [2]string { return [2]string{e.Op, e.Path} },
		func(p [2]string, err error) *fs.PathError { return &fs.PathError{Op: p[0], Path: p[1], Err: err} })
	addOwn(t, func(e *os.LinkError) [3]string { return [3]string{e.Op, e.Old, e.New} },
		func(p [3]string, err error) *os.LinkError {
			return &os.LinkError{Op: p[0], Old: p[1], New: p[2], Err: err}
		})
	addOwn(t, func(e *os.SyscallError) string { return e.Syscall },
		func(p string, err error) *os.SyscallError { return &os.SyscallError{Syscall: p, Err: err} })
	addOwn(t, func(e *strconv.NumError) [2]string { return [2]string{e.Func, e.Num} },
		func(p [2]string, err error) *strconv.NumError {
			return &strconv.NumError{Func: p[0], Num: p[1], Err: err}
		})
	addOwn(t, func(e syscall.Errno) uint64 { return uint64(e) },
		func(p uint64, _ error) syscall.Errno { return syscall.Errno(p) })
	addOwn(t, func(e *time.ParseError) [5]string {
		return [5]string{e.Layout, e.Value, e.LayoutElem, e.ValueElem, e.Message}
	}, func(p [5]string, _ error) *time.ParseError {
		return &time.ParseError{Layout: p[0], Value: p[1], LayoutElem: p[2], ValueElem: p[3], Message: p[4]}
	})
	addOwn(t, func(e *json.SyntaxError) syntaxError { return syntaxError{e.Offset, e.Error()} },
		func(p syntaxError, _ error) *json.SyntaxError { return p.rebuilt() })
	addOwn(t, func(e hex.InvalidByteError) byte { return byte(e) }, func(p byte, _ error) hex.InvalidByteError { return hex.InvalidByteError(p) })
	addOwn(t, func(e base32.CorruptInputError) int64 { return int64(e) },
		func(p int64, _ error) base32.CorruptInputError { return base32.CorruptInputError(p) })
	addOwn(t, func(e base64.CorruptInputError) int64 { return int64(e) },
		func(p int64, _ error) base64.CorruptInputError { return base64.CorruptInputError(p) })

	return t
}

// addOwn is like RegisterWrapper, but for functions that are not the user's.
func addOwn[E error, P any](t *typeTable, parts func(E) P, build func(P, error) E) {
	e, _ := wrapper(parts, build)
	_ = t.add(reflect.TypeFor[E](), e, nil)
}
