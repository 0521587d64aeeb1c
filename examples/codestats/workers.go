package main

import (
	"cmp"
	"slices"
)

// A workerShare is what one worker process did.
type workerShare struct {
	Worker int `json:"worker"`
	Files  int `json:"files"`
	Lines  int `json:"lines"`
}

// sharesOf tells from the results which worker did what, in their order.
func sharesOf(stats []FileStats) []workerShare {
	var shares []workerShare
	for _, file := range stats {
		i, found := slices.BinarySearchFunc(shares, file.Worker, func(s workerShare, worker int) int {
			return cmp.Compare(s.Worker, worker)
		})
		if !found {
			shares = slices.Insert(shares, i, workerShare{Worker: file.Worker})
		}
		shares[i].Files++
		shares[i].Lines += file.Lines
	}
	return shares
}
