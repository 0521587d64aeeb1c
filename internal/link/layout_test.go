//go:build linux

package link

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"slices"
	"testing"
)

// Messages must list each kind of message that receive accepts, and no other.
func TestMessagesAreAll(t *testing.T) {
	both := fromWorker(1)
	maps.Copy(both, fromParent)
	for kind := range uint32(64) {
		_, _, _, err := receive(bytes.NewReader(MessageHead(kind, 0, 0)), both)
		known := err == nil || errors.Is(err, io.EOF)
		listed := slices.ContainsFunc(Messages(), func(m Message) bool { return m.Kind == kind })
		if known != listed {
			t.Errorf("message %d is accepted: %t, in the list: %t", kind, known, listed)
		}
	}
}

// Words and areas must lie in the segment and must not overlap.
func TestWordsAreApart(t *testing.T) {
	var spans [][2]int
	for _, w := range Words() {
		spans = append(spans, [2]int{w.Offset, w.Offset + w.Size})
	}
	for _, a := range Areas() {
		spans = append(spans, [2]int{a.Offset, a.Offset + a.Size})
	}
	slices.SortFunc(spans, func(a, b [2]int) int { return a[0] - b[0] })
	for i, s := range spans {
		if s[1] > Size || i > 0 && spans[i-1][1] > s[0] {
			t.Errorf("bytes %d to %d", s[0], s[1])
		}
	}
}
