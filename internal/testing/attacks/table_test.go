//go:build linux

package attacks

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// docs/attacks.md must list the tested rows, and no others.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../../docs/attacks.md")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "| ") {
			got = append(got, strings.TrimSpace(line))
		}
	}

	var want []string
	for _, l := range Lines() {
		want = append(want, l.String())
	}
	const heads = 2
	if len(got) < heads || !slices.Equal(got[heads:], want) {
		t.Errorf("docs/attacks.md must have these rows:\n%s", strings.Join(want, "\n"))
	}
}

// Each kind of object must be given to some attacker.
func TestGifts(t *testing.T) {
	if missing := kindsWithout(); len(missing) > 0 {
		t.Errorf("no gift is of the kinds %d", missing)
	}
}

// docs/attacks.md must state the tested bounds.
func TestDocsBounds(t *testing.T) {
	text, err := os.ReadFile("../../../docs/attacks.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range boundsInWords() {
		if !strings.Contains(strings.Join(strings.Fields(string(text)), " "), b) {
			t.Errorf("docs/attacks.md must say %q", b)
		}
	}
}
