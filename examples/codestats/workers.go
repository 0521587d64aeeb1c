package main

import (
	"cmp"
	"slices"
)

// A workerShare is the part of the work that one worker process did.
type workerShare struct {
	Worker int `json:"worker"`
	Files  int `json:"files"`
	Lines  int `json:"lines"`
}

// sharesOf computes from the results what each worker did, in the order of the workers.
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
