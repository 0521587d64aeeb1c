package mptest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/go-multiprocessing/mp"
)

// Functions for the suite's tasks. Every program that imports this package registers them, so that
// the program's workers have them too.
var (
	double = mp.Register("double", func(_ context.Context, n int) (int, error) { return 2 * n, nil })
	echo   = mp.Register("echo", func(_ context.Context, v message) (message, error) { return v, nil })
	fail   = mp.Register("fail", func(_ context.Context, n int) (int, error) {
		if n < 0 {
			return 0, fmt.Errorf("refused: %w", &refusal{N: n})
		}
		return n, nil
	})
	sentinel = mp.Register("sentinel", func(context.Context, struct{}) (int, error) {
		return 0, fmt.Errorf("wrapped: %w", errors.Join(errSuite, os.ErrNotExist))
	})
	panics = mp.Register("panics", func(_ context.Context, text string) (int, error) { panic(text) })
	goexit = mp.Register("goexit", func(context.Context, struct{}) (int, error) { runtime.Goexit(); return 0, nil })
	info   = mp.Register("info", func(ctx context.Context, _ int) (mp.TaskInfo, error) {
		i, ok := mp.CurrentTask(ctx)
		if !ok {
			return i, errors.New("the task's context knows nothing")
		}
		return i, nil
	})
	// left returns how much time the task has, or 0 if it has no deadline.
	left = mp.Register("left", func(ctx context.Context, _ int) (time.Duration, error) {
		at, ok := ctx.Deadline()
		if !ok {
			return 0, nil
		}
		return time.Until(at), ctx.Err()
	})
	carried = mp.Register("carried", func(ctx context.Context, _ struct{}) (string, error) {
		s, _ := ctx.Value(suiteKey{}).(string)
		if i, ok := mp.CurrentTask(ctx); !ok || i.ID == 0 {
			return "", errors.New("the task's context knows nothing of the task")
		}
		return s, nil
	})
	// block opens the named pipe, which tells the test that the task has begun, and waits until its
	// context ends.
	block = mp.Register("block", func(ctx context.Context, fifo string) (string, error) {
		f, err := os.OpenFile(fifo, os.O_WRONLY, 0)
		if err != nil {
			return "", err
		}
		defer f.Close()
		<-ctx.Done()
		return "cancelled", ctx.Err()
	})
	stubborn = mp.Register("stubborn", func(context.Context, badMarshal) (badMarshal, error) { return badMarshal{}, nil })
	unsent   = mp.Register("unsent", func(_ context.Context, n int) (badMarshal, error) { return badMarshal{Fail: n == 1}, nil })
)

// suiteKey is the key of a context value that the suite's baggage carries into tasks.
type suiteKey struct{}

var errSuite = mp.RegisterError(errors.New("the suite's sentinel"))

func init() {
	mp.RegisterErrorType[*refusal]()
	mp.RegisterBaggage(func(ctx context.Context, b mp.Baggage) {
		if s, ok := ctx.Value(suiteKey{}).(string); ok {
			b["mptest"] = s
		}
	}, func(ctx context.Context, b mp.Baggage) context.Context {
		if s, ok := b["mptest"]; ok {
			return context.WithValue(ctx, suiteKey{}, s)
		}
		return ctx
	})
}

type refusal struct{ N int }

func (e *refusal) Error() string { return fmt.Sprintf("%d is negative", e.N) }

type message struct {
	Text  string
	Bytes []byte
	Any   any
	Map   map[string][]int
}

// badMarshal cannot be encoded if Fail is set, and panics if Panic is set.
type badMarshal struct{ Fail, Panic bool }

func (b badMarshal) MarshalBinary() ([]byte, error) {
	if b.Panic {
		panic("in MarshalBinary")
	}
	if b.Fail {
		return nil, errors.New("it will not be marshalled")
	}
	return []byte{1}, nil
}

func (b *badMarshal) UnmarshalBinary([]byte) error { return nil }
