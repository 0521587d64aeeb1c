package main

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"
)

// A measurement is the result of a job and the time that it took.
type measurement struct {
	dir     string
	workers int
	result
	inStages, alone time.Duration // alone is 0 without -check
}

// timed runs f on a heap without earlier garbage.
func timed(f func() (result, error)) (time.Duration, result, error) {
	runtime.GC()
	begin := time.Now()
	r, err := f()
	return time.Since(begin), r, err
}

// common is the number of words in the report, which lists the words that occur in the most files.
const common = 5

func writeReport(w io.Writer, m measurement) error {
	var size, packed, bad int
	for _, f := range m.files {
		size, packed = size+f.Size, packed+f.Packed
		if f.Problem != "" {
			bad++
		}
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "files below %s\n\n", m.dir)
	fmt.Fprintf(table, "files\t%d\n", len(m.files))
	if bad > 0 {
		fmt.Fprintf(table, "unreadable\t%d\n", bad)
	}
	fmt.Fprintf(table, "bytes\t%d\n", size)
	fmt.Fprintf(table, "compressed\t%d (%d %%)\n", packed, 100*packed/max(size, 1))
	fmt.Fprintf(table, "words\t%d\n", len(m.words))

	fmt.Fprintf(table, "\nword\tfiles\n")
	for _, word := range maxCommon(m.words, common) {
		fmt.Fprintf(table, "  %s\t%d\n", word, len(m.words[word]))
	}

	fmt.Fprintf(table, "\ntime\tseconds\n")
	fmt.Fprintf(table, "  3 stages of %d processes\t%.2f\n", m.workers, m.inStages.Seconds())
	if m.alone > 0 {
		fmt.Fprintf(table, "  one process\t%.2f\n\nboth come to the same\n", m.alone.Seconds())
	}

	return table.Flush()
}

// maxCommon returns up to n words, the ones that are in the most files.
func maxCommon(words index, n int) []string {
	sorted := make([]string, 0, len(words))
	for word := range words {
		sorted = append(sorted, word)
	}
	slices.SortFunc(sorted, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(words[b]), len(words[a])), cmp.Compare(a, b))
	})
	return sorted[:min(n, len(sorted))]
}
