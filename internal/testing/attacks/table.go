//go:build linux

package attacks

import (
	"slices"
	"strings"
	"sync"
)

// Table returns all rows, including those of the long form.
var Table = sync.OnceValue(func() []Row {
	rows := slices.Concat(descriptorRows(), wordRows(), messageRows(), programRows(), honestRows())
	seen := map[string]bool{}
	for _, r := range rows {
		if seen[r.Name()] {
			panic("two rows are called " + r.Name())
		}
		seen[r.Name()] = true
	}
	return rows
})

// find returns the row with a name.
func find(name string) (Row, bool) {
	for _, r := range Table() {
		if r.Name() == name {
			return r, true
		}
	}
	return Row{}, false
}

// A Line is a line of the table in the docs: all deeds that are done to one target, without the
// rows of the long form.
type Line struct {
	Family, Target string
	Deeds          []string
}

// Lines returns the lines of the table in the docs.
func Lines() (lines []Line) {
	for _, r := range Table() {
		if r.long {
			continue
		}
		i := slices.IndexFunc(lines, func(l Line) bool { return l.Family == r.Family && l.Target == r.Target })
		if i < 0 {
			i = len(lines)
			lines = append(lines, Line{Family: r.Family, Target: r.Target})
		}
		lines[i].Deeds = append(lines[i].Deeds, r.Deed)
	}
	return lines
}

// String returns the line as shown in the docs.
func (l Line) String() string {
	return "| " + l.Family + " | " + l.Target + " | " + strings.Join(l.Deeds, "; ") + " |"
}
