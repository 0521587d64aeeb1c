package task

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/go-multiprocessing/mp/internal/errtree"
)

// A panic whose text is too long arrives with the beginning of the text.
func TestLongPanics(t *testing.T) {
	long := strings.Repeat("x", 64<<20)
	for _, value := range []any{long, errors.New(long)} {
		kind, data := Run(context.Background(), func(context.Context, []byte, []byte) ([]byte, error) { panic(value) }, nil, nil)
		if kind != Panicked || len(data) > panicBounds.Bytes {
			t.Fatalf("%d: %d bytes", kind, len(data))
		}
		p, err := ParsePanic(data)
		if err != nil || !strings.HasPrefix(p.Text, "xxx") || !strings.HasSuffix(p.Text, " bytes more)") || !strings.Contains(p.Stack, "TestLongPanics") {
			t.Errorf("%v: %.100q %.100q", err, p.Text, p.Stack)
		}
		if _, isErr := value.(error); isErr != (p.Err != nil) || isErr && !strings.HasPrefix(errtree.Decode(p.Err).Error(), "xxx") {
			t.Errorf("%d bytes of an error", len(p.Err))
		}
	}
}

// A forged panic costs little memory.
func TestForgedPanics(t *testing.T) {
	begin := []byte{0xa2, 1, 0x64, 't', 'e', 'x', 't', 2}
	for name, data := range map[string][]byte{
		"array": append(binary.BigEndian.AppendUint32(append(begin[:8:8], 0x9a), 5_000_000), make([]byte, 5_000_000)...),
		"long":  append(binary.BigEndian.AppendUint32(append(begin[:8:8], 0x5a), 50_000_000), make([]byte, 50_000_000)...),
		"deep":  append(begin[:8:8], bytes.Repeat([]byte{0x81}, 5_000_000)...),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ParsePanic(data)
		runtime.ReadMemStats(&after)
		if all := after.TotalAlloc - before.TotalAlloc; all > 1<<20 {
			t.Errorf("%s: %d bytes allocated", name, all)
		}

		if err == nil || !strings.HasSuffix(err.Error(), "it begins with: text") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
