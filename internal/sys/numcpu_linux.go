// Package sys wraps system calls and files in /proc that several packages need.
package sys

import (
	"math"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const cgroupRoot = "/sys/fs/cgroup"

// NumCPU returns how many processors this process may use: the number that it may be scheduled on,
// but no more than its cgroup's bandwidth, rounded up. The result is at least 1.
func NumCPU() int {
	n := allowed()
	if b, err := os.ReadFile("/proc/self/cgroup"); err == nil {
		n = min(n, bandwidth(string(b), readFile))
	}
	return max(n, 1)
}

func allowed() int {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return math.MaxInt
	}
	return set.Count()
}

func readFile(name string) (string, bool) {
	b, err := os.ReadFile(name)
	return strings.TrimSpace(string(b)), err == nil
}

// bandwidth returns the tightest limit among the process's cgroups and their ancestors.
func bandwidth(cgroups string, read func(string) (string, bool)) int {
	limit := math.MaxInt
	for line := range strings.Lines(cgroups) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for dir := path.Clean("/" + parts[2]); ; dir = path.Dir(dir) {
			if n, ok := limitAt(parts[1], dir, read); ok {
				limit = min(limit, n)
			}
			if dir == "/" {
				break
			}
		}
	}

	return limit
}

// limitAt reads the limit of one group. The string controllers is empty for version 2.
func limitAt(controllers, dir string, read func(string) (string, bool)) (int, bool) {
	if controllers == "" {
		s, ok := read(cgroupRoot + path.Join("/", dir, "cpu.max"))
		quota, period, found := strings.Cut(s, " ")
		if !ok || !found {
			return 0, false
		}
		return ratio(quota, period)
	}

	for _, c := range strings.Split(controllers, ",") {
		if c != "cpu" {
			continue
		}
		for _, mount := range []string{controllers, "cpu", "cpu,cpuacct"} {
			base := path.Join(cgroupRoot, mount, dir)
			quota, ok1 := read(base + "/cpu.cfs_quota_us")
			period, ok2 := read(base + "/cpu.cfs_period_us")
			if ok1 && ok2 {
				return ratio(quota, period)
			}
		}
	}
	return 0, false
}

func ratio(quota, period string) (int, bool) {
	q, err1 := strconv.ParseFloat(quota, 64)
	p, err2 := strconv.ParseFloat(period, 64)
	if n := math.Ceil(q / p); err1 == nil && err2 == nil && q > 0 && p > 0 && n <= math.MaxInt32 {
		return int(n), true
	}
	return 0, false
}
