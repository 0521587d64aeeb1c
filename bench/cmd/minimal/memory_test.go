package main

import "testing"

func TestSumPrivate(t *testing.T) {
	const rollup = `00400000-7ffe6e356000 ---p 00000000 00:00 0                              [rollup]
Rss:                4932 kB
Pss_Dirty:           800 kB
Shared_Dirty:         40 kB
Private_Clean:        12 kB
Private_Dirty:       780 kB
Private_Hugetlb:       0 kB
`
	if kib, err := sumPrivate(rollup); kib != 792 || err != nil {
		t.Errorf("%v, %v; want 792", kib, err)
	}
	if _, err := sumPrivate("nonsense"); err == nil {
		t.Error("found private memory where there is none")
	}
}
