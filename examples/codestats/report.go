package main

import (
	"fmt"
	"io"
	"runtime"
	"text/tabwriter"
	"time"
)

// writeReport writes a measurement as a few tables.
func writeReport(w io.Writer, m measurement) error {
	// A line without cells ends a column, and so separates the tables.
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "Go files below %s\n\n", m.dir)
	writeTotals(table, m.totals)
	writeFunctions(table, "longest functions", m.longest)
	writeFunctions(table, "most complex functions", m.maxComplex)
	writeTimes(table, m)
	writeWorkers(table, m.workers)
	return table.Flush()
}

func writeTotals(w io.Writer, t totals) {
	fmt.Fprintf(w, "files\t%d\n", t.files)
	fmt.Fprintf(w, "unparsable\t%d\n", t.unparsable)
	if t.unreadable > 0 {
		fmt.Fprintf(w, "unreadable\t%d\n", t.unreadable)
	}
	fmt.Fprintf(w, "lines\t%d\n", t.lines)
	fmt.Fprintf(w, "functions\t%d\n", t.functions)
	fmt.Fprintf(w, "mean complexity\t%.2f\n", t.meanComplexity())
	fmt.Fprintf(w, "largest file\t%s (%d lines)\n", t.largest.name, t.largest.lines)
}

func writeFunctions(w io.Writer, title string, functions []Function) {
	if len(functions) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\tlines\tcomplexity\tat\n", title)
	for _, f := range functions {
		fmt.Fprintf(w, "  %s\t%d\t%d\t%s:%d\n", f.Name, f.Lines, f.Complexity, f.File, f.Line)
	}
}

func writeTimes(w io.Writer, m measurement) {
	fmt.Fprintf(w, "\ntime\tseconds\tspeedup\n")
	row := func(name string, elapsed time.Duration) {
		fmt.Fprintf(w, "  %s\t%.2f\t%.2f\n", name, elapsed.Seconds(), speedup(m.sequential, elapsed))
	}
	row(inSequence.name, m.sequential)
	row(fmt.Sprintf("%s (%d)", inGoroutines.name, runtime.GOMAXPROCS(0)), m.goroutines)
	row(fmt.Sprintf("%s (%d)", inPool.name, len(m.workers)), m.pool)
}

func writeWorkers(w io.Writer, shares []workerShare) {
	fmt.Fprintf(w, "\nworker\tfiles\tlines\n")
	for _, share := range shares {
		fmt.Fprintf(w, "  %d\t%d\t%d\n", share.Worker, share.Files, share.Lines)
	}
}

func speedup(before, after time.Duration) float64 {
	return before.Seconds() / max(after, 1).Seconds()
}

// jsonReport is a measurement as printed by -json.
type jsonReport struct {
	Dir            string  `json:"dir"`
	Files          int     `json:"files"`
	Unparsable     int     `json:"unparsable"`
	Unreadable     int     `json:"unreadable"`
	Lines          int     `json:"lines"`
	Functions      int     `json:"functions"`
	Complexity     int     `json:"complexity"` // of all functions together
	MeanComplexity float64 `json:"mean_complexity"`

	SecondsSequential float64 `json:"seconds_sequential"`
	SecondsGoroutines float64 `json:"seconds_goroutines"`
	SecondsPool       float64 `json:"seconds_pool"`

	Workers []workerShare `json:"workers"`
}

func newJSONReport(m measurement) jsonReport {
	return jsonReport{
		Dir:               m.dir,
		Files:             m.files,
		Unparsable:        m.unparsable,
		Unreadable:        m.unreadable,
		Lines:             m.lines,
		Functions:         m.functions,
		Complexity:        m.complexity,
		MeanComplexity:    m.meanComplexity(),
		SecondsSequential: m.sequential.Seconds(),
		SecondsGoroutines: m.goroutines.Seconds(),
		SecondsPool:       m.pool.Seconds(),
		Workers:           m.workers,
	}
}
