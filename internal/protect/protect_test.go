package protect

import (
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
)

func TestCall(t *testing.T) {
	if err := Call(func() error { return nil }); err != nil {
		t.Error(err)
	}
	if err := Call(func() error { return io.EOF }); err != io.EOF {
		t.Error(err)
	}
	if err := Call(func() error { runtime.Goexit(); return nil }); err != ErrGoexit {
		t.Error(err)
	}
	var p *Panic
	if err := Call(func() error { panic(io.EOF) }); !errors.As(err, &p) || p.Value != io.EOF || !strings.Contains(string(p.Stack), "TestCall") {
		t.Errorf("%v %+v", err, p)
	}
}
