//go:build linux

package manager_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/manager"
	"github.com/go-multiprocessing/mp/mptest"
)

// account is a type whose objects live in managers in these tests.
type account struct {
	mu      sync.Mutex
	balance int
	left    string // a file that Close makes
}

type opening struct {
	Balance int
	Left    string
}

var accounts = manager.Type("account", func(_ context.Context, o opening) (*account, error) {
	if o.Balance < 0 {
		return nil, &overdrawnError{o.Balance}
	}
	return &account{balance: o.Balance, left: o.Left}, nil
})

type overdrawnError struct{ By int }

func (e *overdrawnError) Error() string { return fmt.Sprintf("overdrawn by %d", e.By) }

func init() { mp.RegisterErrorType[*overdrawnError]() }

var errClosedAccount = mp.RegisterError(errors.New("the account is closed"))

func (a *account) Add(_ context.Context, n int) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case n == 13:
		panic("bad luck")
	case n == 14:
		runtime.Goexit()
	case n == 15:
		return 0, fmt.Errorf("adding: %w", errClosedAccount)
	case a.balance+n < 0:
		return 0, &overdrawnError{-n - a.balance}
	}
	a.balance += n
	return a.balance, nil
}

// Hang does not return until its context has ended. If forever is set, Hang never returns.
func (a *account) Hang(ctx context.Context, forever bool) (string, error) {
	<-ctx.Done()
	for forever {
		time.Sleep(time.Hour)
	}
	return "", ctx.Err()
}

func (a *account) Lists(ctx context.Context, l *manager.List[int]) (map[string]*manager.List[int], error) {
	_, err := l.Append(ctx, 5)
	return map[string]*manager.List[int]{"the same": l}, err
}

func (a *account) Close() error {
	if a.left == "" {
		return nil
	}
	return os.WriteFile(a.left, nil, 0o600)
}

type other struct{}

var (
	add   = manager.Method("add", (*account).Add)
	hang  = manager.Method("hang", (*account).Hang)
	lists = manager.Method("lists", (*account).Lists)
	_     = manager.Type("other", func(context.Context, int) (*other, error) { return &other{}, nil })
)

// Objects of registered types keep their state in the manager. Errors from their methods keep their
// types (M11), and a panic affects no other call.
func TestObject(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := soon(t)
	m := start(t, manager.Config{})
	a := must(manager.New(ctx, m, accounts, opening{Balance: 5}))
	if n, err := manager.Invoke(ctx, a, add, 2); n != 7 || err != nil {
		t.Error(n, err)
	}

	var overdrawn *overdrawnError
	if _, err := manager.Invoke(ctx, a, add, -10); !errors.As(err, &overdrawn) || overdrawn.By != 3 {
		t.Error(err)
	}

	if _, err := manager.New(ctx, m, accounts, opening{Balance: -1}); !errors.As(err, &overdrawn) {
		t.Error(err)
	}

	if _, err := manager.Invoke(ctx, a, add, 15); !errors.Is(err, errClosedAccount) || !strings.Contains(err.Error(), "adding") {
		t.Error(err)
	}
	var panicked *mp.PanicError
	if _, err := manager.Invoke(ctx, a, add, 13); !errors.As(err, &panicked) || panicked.Value != "bad luck" || !strings.Contains(panicked.Stack, "Add") {
		t.Error(err)
	}
	if _, err := manager.Invoke(ctx, a, add, 14); !errors.Is(err, mp.ErrGoexit) {
		t.Error(err)
	}
	l := must(manager.NewList[int](ctx, m, nil))
	got, err := manager.Invoke(ctx, a, lists, l)
	if err != nil || must(got["the same"].Len(ctx)) != 1 {
		t.Error(err)
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := manager.Invoke(ctx, a, add, 1); err != nil {
				t.Error(err)
			}
		})
	}

	all.Wait()
	if n, err := manager.Invoke(ctx, a, add, 0); n != 57 || err != nil {
		t.Error(n, err)
	}
}

// A method that hangs blocks only its caller, and only until the caller gives up.
func TestMethodHangs(t *testing.T) {
	ctx := soon(t)
	m := start(t, manager.Config{})
	a := must(manager.New(ctx, m, accounts, opening{}))
	for _, forever := range []bool{false, true} {
		short, cancel := context.WithCancel(ctx)
		ended := make(chan error)
		go func() { _, err := manager.Invoke(short, a, hang, forever); ended <- err }()
		until(t, "it runs", func() bool { return stats(t, m).Waiting == 1 })
		if n, err := manager.Invoke(ctx, a, add, 1); err != nil {
			t.Error(n, err)
		}

		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}

		until(t, "nobody waits for it", func() bool { return stats(t, m).Waiting == 0 })
	}
}

// An object of a registered type is closed when no process has it any longer, and when the manager
// ends.
func TestObjectClosed(t *testing.T) {
	ctx := soon(t)
	m := start(t, manager.Config{})
	there := func(file string) func() bool {
		return func() bool { _, err := os.Stat(file); return err == nil }
	}
	one, two := filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "two")
	a := must(manager.New(ctx, m, accounts, opening{Left: one}))
	_ = a.Close()
	until(t, "it is closed", there(one))
	must(manager.New(ctx, m, accounts, opening{Left: two}, manager.Named("two")))
	if err := m.Shutdown(ctx); err != nil || !there(two)() {
		t.Error(err)
	}
}

// M10: only registered methods can be called, and only on objects of their type. The error names
// the method.
func TestNotExposed(t *testing.T) {
	ctx := t.Context()
	m := start(t, manager.Config{})
	a := must(manager.New(ctx, m, accounts, opening{}))
	for name, call := range manager.Unregistered(ctx, m, a) {
		if err := call(); !errors.Is(err, manager.ErrNotRegistered) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := manager.InvokeOther(ctx, a, "github.com/go-multiprocessing/mp/manager_test.add"); err == nil {
		t.Error("with other types")
	}
}

type settingUp struct {
	File string
	Fail bool
}

var setUp = manager.SetupFunc("setUp", func(_ context.Context, _ *manager.Server, s settingUp) error {
	if s.Fail {
		return errTooMuch
	}
	return os.WriteFile(s.File, fmt.Appendf(nil, "%d", os.Getpid()), 0o600)
})

// M16: the setup function runs in the manager before anything else. If it returns an error, Start
// returns that error.
func TestSetup(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := soon(t)
	file := filepath.Join(t.TempDir(), "pid")
	m := start(t, manager.Config{Setup: setUp.With(settingUp{File: file})})
	if b, err := os.ReadFile(file); string(b) != fmt.Sprint(m.PID()) || err != nil {
		t.Error(string(b), err)
	}
	if _, err := manager.Start(ctx, manager.Config{Setup: setUp.With(settingUp{Fail: true})}); !errors.Is(err, errTooMuch) {
		t.Error(err)
	}
	_ = m.Close()
}

// Registering an empty name, or a name that is taken, panics.
func TestBadNames(t *testing.T) {
	for what, f := range map[string]func(){
		"empty":   func() { manager.Function("", func(context.Context, int, int) (int, error) { return 0, nil }) },
		"a line":  func() { manager.Method("a\nb", (*account).Add) },
		"taken":   func() { manager.Method("add", (*account).Add) },
		"nothing": func() { manager.SetupFunc[int]("x", nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error(what)
				}
			}()
			f()
		}()
	}
}
