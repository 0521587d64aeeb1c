//go:build linux

package sys

import (
	"math"
	"runtime"
	"testing"
)

func TestBandwidth(t *testing.T) {
	const none = math.MaxInt
	type files map[string]string
	for name, c := range map[string]struct {
		cgroups string
		files   files
		want    int
	}{
		"nothing":             {"", nil, none},
		"garbage":             {"garbage\n::\n:\n0:\n\n", nil, none},
		"v2 no limit":         {"0::/a/b\n", files{"/sys/fs/cgroup/a/b/cpu.max": "max 100000"}, none},
		"v2 own":              {"0::/a/b\n", files{"/sys/fs/cgroup/a/b/cpu.max": "200000 100000"}, 2},
		"v2 rounded up":       {"0::/a\n", files{"/sys/fs/cgroup/a/cpu.max": "150000 100000"}, 2},
		"v2 below one":        {"0::/a\n", files{"/sys/fs/cgroup/a/cpu.max": "1000 100000"}, 1},
		"v2 parent tighter":   {"0::/a/b/c", files{"/sys/fs/cgroup/a/b/c/cpu.max": "400000 100000", "/sys/fs/cgroup/a/cpu.max": "300000 100000"}, 3},
		"v2 child tighter":    {"0::/a/b", files{"/sys/fs/cgroup/a/b/cpu.max": "100000 100000", "/sys/fs/cgroup/a/cpu.max": "300000 100000"}, 1},
		"v2 in a container":   {"0::/\n", files{"/sys/fs/cgroup/cpu.max": "250000 50000"}, 5},
		"v2 outside the root": {"0::/../../x\n", files{"/sys/fs/cgroup/cpu.max": "100000 100000", "/sys/fs/x/cpu.max": "200000 100000"}, 1},
		"v2 colon in a name":  {"0::/a:b/c\n", files{"/sys/fs/cgroup/a:b/c/cpu.max": "700000 100000"}, 7},
		"v2 empty file":       {"0::/a\n", files{"/sys/fs/cgroup/a/cpu.max": ""}, none},
		"v2 one number":       {"0::/a\n", files{"/sys/fs/cgroup/a/cpu.max": "100000"}, none},
		"v2 zero period":      {"0::/a\n", files{"/sys/fs/cgroup/a/cpu.max": "100000 0"}, none},
		"v2 no number":        {"0::/a\n", files{"/sys/fs/cgroup/a/cpu.max": "nan nan"}, none},
		"v2 endless":          {"0::/a\n", files{"/sys/fs/cgroup/a/cpu.max": "inf 1"}, none},
		"v2 huge":             {"0::/a\n", files{"/sys/fs/cgroup/a/cpu.max": "1e300 1"}, none},
		"v1 no limit":         {"4:cpu,cpuacct:/a\n", files{"/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "-1", "/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us": "100000"}, none},
		"v1 together":         {"4:cpu,cpuacct:/a\n", files{"/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "300000", "/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us": "100000"}, 3},
		"v1 other order":      {"4:cpuacct,cpu:/a\n", files{"/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "300000", "/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us": "100000"}, 3},
		"v1 alone":            {"4:cpu:/a\n", files{"/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "50000", "/sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000"}, 1},
		"v1 in a container":   {"4:cpu:/docker/abc\n", files{"/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "250000", "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, 3},
		"v1 parent tighter": {"4:cpu:/a/b\n", files{
			"/sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us": "800000", "/sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us": "100000",
			"/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "200000", "/sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000"}, 2},
		"v1 other controllers": {"5:cpuset:/a\n6:cpuacct:/a\n7:name=systemd:/a\n", files{
			"/sys/fs/cgroup/cpuset/a/cpu.cfs_quota_us": "100000", "/sys/fs/cgroup/cpuset/a/cpu.cfs_period_us": "100000",
			"/sys/fs/cgroup/a/cpu.max": "100000 100000"}, none},
		"both": {"4:cpu:/a\n0::/u\n", files{
			"/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "400000", "/sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000",
			"/sys/fs/cgroup/u/cpu.max": "500000 100000"}, 4},
		"v1 without a period": {"4:cpu:/a\n", files{"/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "400000"}, none},
	} {
		read := func(file string) (string, bool) { s, ok := c.files[file]; return s, ok }
		if got := bandwidth(c.cgroups, read); got != c.want {
			t.Errorf("%s: %d, not %d", name, got, c.want)
		}
	}
}

func TestNumCPU(t *testing.T) {
	if n := NumCPU(); n < 1 || n > runtime.NumCPU() {
		t.Errorf("%d of %d", n, runtime.NumCPU())
	}
	if _, ok := readFile("/no/such/file"); ok {
		t.Error("a missing file was read")
	}
	if s, ok := readFile("/proc/self/cgroup"); !ok || s == "" {
		t.Error("this process has no cgroup file")
	}
}

func FuzzBandwidth(f *testing.F) {
	f.Add("0::/a/../b", "1 2")
	f.Add("1:cpu,cpu:/x", "3")
	f.Fuzz(func(t *testing.T, cgroups, content string) {
		if n := bandwidth(cgroups, func(string) (string, bool) { return content, true }); n < 1 {
			t.Errorf("%q with %q gives %d", cgroups, content, n)
		}
	})
}
