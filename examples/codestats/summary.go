package main

import (
	"cmp"
	"fmt"
	"slices"
)

// A summary is the result for a whole tree.
type summary struct {
	totals
	longest    []Function
	maxComplex []Function
}

type totals struct {
	files, unparsable, unreadable int
	lines, functions, complexity  int
	largest                       fileSize
}

type fileSize struct {
	name  string
	lines int
}

// summarize sums up stats, which belong to the files in names.
func summarize(names []string, stats []FileStats) summary {
	s := summary{totals: totals{files: len(stats)}}
	for i, file := range stats {
		s.add(fileSize{names[i], file.Lines}, file)
		s.longest = append(s.longest, inFile(names[i], file.Longest)...)
		s.maxComplex = append(s.maxComplex, inFile(names[i], file.MostComplex)...)
	}
	s.longest = first(s.longest, byLength)
	s.maxComplex = first(s.maxComplex, byComplexity)
	return s
}

func (t *totals) add(size fileSize, file FileStats) {
	t.lines += file.Lines
	t.functions += file.Functions
	t.complexity += file.Complexity
	if file.Unparsable {
		t.unparsable++
	}
	if file.Unreadable {
		t.unreadable++
	}
	if t.largest.name == "" || bySize(size, t.largest) < 0 {
		t.largest = size
	}
}

// meanComplexity returns the mean complexity of a function, or 0 if there are no functions.
func (t totals) meanComplexity() float64 {
	return float64(t.complexity) / float64(max(t.functions, 1))
}

// equal returns an error that shows the first difference between two summaries, or nil if there is
// no difference.
func (s summary) equal(other summary) error {
	if s.totals != other.totals {
		return fmt.Errorf("totals %+v and %+v", s.totals, other.totals)
	}
	if !slices.Equal(s.longest, other.longest) {
		return fmt.Errorf("longest functions %v and %v", s.longest, other.longest)
	}
	if !slices.Equal(s.maxComplex, other.maxComplex) {
		return fmt.Errorf("most complex functions %v and %v", s.maxComplex, other.maxComplex)
	}
	return nil
}

func inFile(name string, functions []Function) []Function {
	functions = slices.Clone(functions)
	for i := range functions {
		functions[i].File = name
	}
	return functions
}

// extremes is the number of functions in each of the report's lists.
const extremes = 5

// first returns the first few functions in the given order.
func first(functions []Function, order func(a, b Function) int) []Function {
	sorted := slices.SortedFunc(slices.Values(functions), order)
	return slices.Clone(sorted[:min(len(sorted), extremes)])
}

// The orders are total: functions that compare as equal are equal in every field.

func byLength(a, b Function) int {
	return cmp.Or(cmp.Compare(b.Lines, a.Lines), byPosition(a, b), cmp.Compare(b.Complexity, a.Complexity))
}

func byComplexity(a, b Function) int {
	return cmp.Or(cmp.Compare(b.Complexity, a.Complexity), byPosition(a, b), cmp.Compare(b.Lines, a.Lines))
}

func byPosition(a, b Function) int {
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Name, b.Name))
}

func bySize(a, b fileSize) int {
	return cmp.Or(cmp.Compare(b.lines, a.lines), cmp.Compare(a.name, b.name))
}
