package deaths_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/go-multiprocessing/mp/internal/testing/deaths"
)

// The rows in docs/deaths.md must be those that are tested.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../../docs/deaths.md")
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
	for _, row := range slices.Concat(deaths.GoTable, deaths.CTable) {
		want = append(want, "| "+strings.Join(row.Cells(), " | ")+" |")
	}
	const heads = 2
	if len(got) < heads || !slices.Equal(got[heads:], want) {
		t.Errorf("docs/deaths.md must have these rows:\n%s", strings.Join(want, "\n"))
	}
}
