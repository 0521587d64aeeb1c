package worker

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/race"
	"github.com/go-multiprocessing/mp/internal/sys"
)

// groupOverhead is how much memory a Go process is assumed to use besides what the garbage
// collector counts, if a control group enforces the limit.
const groupOverhead = 16 << 20

// mapped describes the private writable memory that this process has mapped at the time its limit
// is set.
type mapped struct {
	// unused is how much of the memory has never been used. That part does not count toward the
	// limit. A Go program has tens of MiB of variables and tables that it may never use.
	unused int
	// uncounted is how much of the used memory the garbage collector does not count toward its own
	// limit.
	uncounted int
}

func mappedNow() (m mapped) {
	line, _ := os.ReadFile("/proc/self/statm")
	now := sys.ParseStatm(line)
	m.unused = max(int(now.Data()-now.Own()), 0)
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	m.uncounted = max(int(now.Data())-m.unused-int(stats.Sys-stats.HeapReleased), 0)
	return m
}

// ahead returns how far below Limits.Memory the garbage collector's limit is. The limits differ
// because tasks continue to allocate while the collector runs.
func ahead(limit int) int { return 16<<20 + limit/4 }

// preferForOOM makes the kernel kill a worker rather than its parent when memory is short. The
// worker has inherited its parent's value, which may already be high: Kubernetes sets values up to
// 1000.
func preferForOOM() {
	const file, most = "/proc/self/oom_score_adj", 1000
	b, _ := os.ReadFile(file)
	parents, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	_ = os.WriteFile(file, strconv.AppendInt(nil, int64(min(parents+500, most)), 10), 0o600)
}

// impose sets limits for this process and for all processes that it starts.
func impose(l link.Limits) error {
	preferForOOM()

	if l.Memory > 0 {
		overhead := groupOverhead
		if !l.Group {
			has := mappedNow()
			overhead = has.uncounted + ahead(l.Memory)
			// The race detector maps far more memory than a program uses, so a limit of mapped
			// memory would be meaningless.
			if !race.Enabled {
				if err := limit("memory", unix.RLIMIT_DATA, l.DataLimit(has.unused)); err != nil {
					return err
				}
			}
		}
		soft := max(int64(l.Memory-overhead), 4<<20)
		if now := debug.SetMemoryLimit(-1); soft < now {
			debug.SetMemoryLimit(soft)
		}
	}

	if l.Files > 0 {
		if err := limit("open files", unix.RLIMIT_NOFILE, l.Files); err != nil {
			return err
		}
	}
	if l.NoCore {
		if err := limit("core dumps", unix.RLIMIT_CORE, 0); err != nil {
			return err
		}
	}
	if l.Nice > 0 {
		// The worker leads its process group, so this reaches all threads.
		if err := unix.Setpriority(unix.PRIO_PGRP, 0, l.Nice); err != nil {
			return fmt.Errorf("its niceness cannot be set to %d: %w", l.Nice, err)
		}
	}
	return nil
}

func limit(what string, resource, n int) error {
	if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: uint64(n), Max: uint64(n)}); err != nil {
		return fmt.Errorf("its limit of %s cannot be set to %d: %w", what, n, err)
	}
	return nil
}
