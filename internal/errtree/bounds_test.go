package errtree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/go-multiprocessing/mp/internal/codec"
)

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func encoded(t testing.TB, n node) []byte {
	t.Helper()
	data, err := codec.AppendAny(nil, n)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// manyNodes returns an error that claims n others, of one byte each.
func manyNodes(n int) []byte {
	b := binary.BigEndian.AppendUint64([]byte{0xa2, 1, 0x64, 't', 'e', 'x', 't', 6, 0x9b}, uint64(n))
	return append(b, bytes.Repeat([]byte{0xa0}, min(n, 10_000_000))...)
}

// nested returns a chain of n errors.
func nested(n int) []byte {
	link := []byte{0xa2, 1, 0x64, 't', 'e', 'x', 't', 6, 0x81}
	return append(bytes.Repeat(link, n), 0xa1, 1, 0x61, 'x')
}

// A tree that no honest sender sends becomes an error with the beginning of its text, and costs
// little.
func TestForgedTrees(t *testing.T) {
	forged := map[string][]byte{
		"wide":    manyNodes(10_000_000),
		"claimed": manyNodes(1 << 40),
		"kids":    encoded(t, node{Text: "text", Kids: make([]node, maxKids+1)}),
		"nodes":   encoded(t, node{Text: "text", Kids: slicesOf(maxKids, node{Kids: make([]node, maxNodes/maxKids)})}),
		"deep":    nested(maxDepth + 1),
		"deepest": nested(1_000_000),
		"long":    encoded(t, node{Text: "text" + strings.Repeat("x", MaxEncoded)}),
		"tags":    append([]byte{0xa2, 1, 0x64, 't', 'e', 'x', 't', 7}, bytes.Repeat([]byte{0xc0}, 1_000_000)...),
		"endless": append([]byte{0xa2, 1, 0x64, 't', 'e', 'x', 't', 6}, bytes.Repeat([]byte{0x9f}, 1_000_000)...),
	}

	for name, data := range forged {
		var err error
		if got := allocated(func() { err = Decode(data) }); got > 24<<20 {
			t.Errorf("%s: %d bytes allocated for %d", name, got, len(data))
		}

		if err == nil || !strings.Contains(err.Error(), "cannot be decoded") || !strings.Contains(err.Error(), "begins with: text") || len(err.Error()) > 2048 {
			t.Errorf("%s: %.200v", name, err)
		}
	}
}

func slicesOf(n int, one node) []node {
	all := make([]node, n)
	for i := range all {
		all[i] = one
	}
	return all
}

// The largest allowed tree arrives.
func TestLargestTree(t *testing.T) {
	long := strings.Repeat("x", 2*maxText)
	kids := func(err error, n int) []error {
		all := make([]error, n)
		for i := range all {
			all[i] = err
		}
		return all
	}

	wide := &multiError{kids(&multiError{kids(listError{[]string{long[:300]}}, maxKids)}, maxKids)}
	deep := error(textError(long[:100]))
	for range maxDepth + 10 {
		deep = &opError{long[:100], deep}
	}

	for _, sent := range []error{textError(long), wide, deep, &multiError{kids(deep, maxNodes/maxDepth)}} {
		data := Append(nil, sent)
		if len(data) > MaxEncoded {
			t.Errorf("%T takes %d bytes, more than %d", sent, len(data), MaxEncoded)
		}
		got := Decode(data)
		if strings.Contains(got.Error(), "cannot be decoded") {
			t.Errorf("%T: %.200v", sent, got)
		}
	}
}

// An error that is too large is shortened. Its text says so, and the errors that it wraps still
// arrive.
func TestSentWithoutWhatIsTooLong(t *testing.T) {
	long := strings.Repeat("é", maxText)
	got := Decode(Append(nil, fmt.Errorf("%s: %w", long, errors.Join(io.EOF, textError(long), &opError{long, errMine}))))
	if text := got.Error(); len(text) > maxText || !strings.HasPrefix(text, "éé") || !strings.HasSuffix(text, " bytes more)") {
		t.Errorf("%d bytes: %.20q", len(text), text)
	}
	if !errors.Is(got, io.EOF) || !errors.Is(got, errMine) {
		t.Error("what is wrapped is lost")
	}
	if as, ok := errors.AsType[textError](got); ok {
		t.Errorf("a value of %d bytes was sent", len(as))
	}

	// The first text leaves room for the others.
	long = long[:16<<10]
	all := make([]error, maxKids)
	for i := range all {
		all[i] = errors.New(fmt.Sprint(i, ": ", long))
	}

	got = Decode(Append(nil, errors.Join(all...)))
	for i, e := range got.(*Remote).Unwrap() {
		if !strings.HasPrefix(e.Error(), fmt.Sprint(i, ": é")) || i > maxKids/2 && !strings.Contains(e.Error(), "bytes more") {
			t.Fatalf("number %d arrived as %.50q", i, e)
		}
	}
}

// curious wraps an error. Its Error method calls that of the wrapped error twice.
type curious struct{ err error }

var asked int

func (c *curious) Unwrap() error { return c.err }
func (c *curious) Error() string {
	asked++
	if c.err.Error() == "" {
		return ""
	}
	return c.err.Error()
}

func init() {
	if err := RegisterWrapper(func(*curious) int { return 0 }, func(_ int, err error) *curious { return &curious{err} }); err != nil {
		panic(err)
	}
}

// In a chain of errors whose methods each call the next one twice, the number of calls would be
// exponential.
func TestChainsThatDouble(t *testing.T) {
	n := node{Text: "bottom"}
	for range maxDepth {
		n = node{Text: "bottom", Type: typeName[*curious](), Value: []byte{0, 0, 0, 0, 0, 0, 0, 0}, Kids: []node{n}}
	}
	asked = 0
	got := Decode(encoded(t, n))
	if _, ok := errors.AsType[*curious](got); !ok || got.Error() != "bottom" {
		t.Fatalf("%T %v", got, got)
	}
	if asked > 4*maxCost/len("bottom") {
		t.Errorf("Error was called %d times", asked)
	}
}

// A chain of errors whose texts repeat the texts of the errors below takes time that is linear in
// the chain's size, not quadratic.
func TestChainsOfLongTexts(t *testing.T) {
	var n node
	bottom := strings.Repeat("x", 100<<10)
	for i := range maxDepth + 1 {
		text := strings.Repeat(": ", i) + bottom
		n = node{Text: text, Type: "os.SyscallError", Value: encodedText(t, ""), Kids: []node{n}}
		if i == 0 {
			n = node{Text: text}
		}
	}

	data := encoded(t, n)
	var got error
	if all := allocated(func() { got = Decode(data) }); all > uint64(16*len(data)) {
		t.Errorf("%d bytes allocated for %d", all, len(data))
	}
	if as, ok := errors.AsType[*os.SyscallError](got); !ok || as.Err == nil || got.Error() != n.Text {
		t.Errorf("%T", got)
	}
}

func encodedText(t testing.TB, s string) []byte {
	c, err := codec.For[string]()
	if err != nil {
		t.Fatal(err)
	}
	data, err := c.Append(nil, &s)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
