package task

import (
	"context"
	"runtime"
	"testing"
)

type quitter struct{}

func (quitter) Error() string { runtime.Goexit(); return "" }

// The error's own method ends the goroutine after the handler has returned. The end must be
// noticed; otherwise, the worker would take no more tasks.
func TestGoexitInError(t *testing.T) {
	_, _, returned, exited := run(t, func(context.Context, []byte, []byte) ([]byte, error) { return nil, quitter{} })
	if !returned && !exited {
		t.Error("the goroutine ended and nobody was told")
	}
}

func TestGoexitInPanicsText(t *testing.T) {
	_, _, returned, exited := run(t, func(context.Context, []byte, []byte) ([]byte, error) { panic(quitter{}) })
	if !returned && !exited {
		t.Error("the goroutine ended and nobody was told")
	}
}

// With this setting, recover returns nil for panic(nil), as it does after Goexit. If Run returns in
// that case, it must not report an exit as well, and the outcome must not be OK.
func TestPanicNilOfOld(t *testing.T) {
	t.Setenv("GODEBUG", "panicnil=1")
	kind, _, returned, exited := run(t, func(context.Context, []byte, []byte) ([]byte, error) { panic(nil) })
	if returned && (exited || kind == OK) {
		t.Errorf("outcome %d, exited %v", kind, exited)
	}
}
