package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"
)

// A report is the result of a job and the time that it took.
type report struct {
	dir     string
	workers int
	result
	together, alone time.Duration
}

// most is the number of words in the report, which lists the words that occur most often.
const most = 10

func (r report) write(w io.Writer) error {
	total := 0
	for _, n := range r.Words {
		total += n
	}

	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "Go files below %s\n\n", r.dir)
	fmt.Fprintf(table, "files\t%d\n", r.Files)
	fmt.Fprintf(table, "copies of others\t%d\n", r.Copies)
	if r.Unreadable > 0 {
		fmt.Fprintf(table, "unreadable\t%d\n", r.Unreadable)
	}

	fmt.Fprintf(table, "words\t%d\n", total)
	fmt.Fprintf(table, "different words\t%d\n", len(r.Words))
	fmt.Fprintf(table, "\nword\ttimes\n")
	sorted := slices.SortedFunc(maps.Keys(r.Words), func(a, b string) int {
		return cmp.Or(cmp.Compare(r.Words[b], r.Words[a]), cmp.Compare(a, b))
	})
	for _, word := range sorted[:min(most, len(sorted))] {
		fmt.Fprintf(table, "  %s\t%d\n", word, r.Words[word])
	}
	fmt.Fprintf(table, "\ntime\tseconds\n")
	fmt.Fprintf(table, "  %d workers and a manager\t%.2f\n", r.workers, r.together.Seconds())
	fmt.Fprintf(table, "  one process\t%.2f\n", r.alone.Seconds())
	fmt.Fprintf(table, "\nboth come to the same\n")
	return table.Flush()
}
