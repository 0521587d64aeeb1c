package mp

import (
	"os"
	"strconv"
	"sync/atomic"
)

// ProcessInfo describes a process: this one, its parent or a child.
type ProcessInfo struct {
	Name   string // of the main process "main"; of others the lineage, with a count of starts and not the worker's number
	PID    int
	Daemon bool
}

var (
	current = ProcessInfo{Name: "main", PID: os.Getpid()}
	parent  *ProcessInfo
	started atomic.Int64 // children that were named
)

// Current describes this process: the main one, a worker of a pool or a
// [Process]. In a worker it is valid once its task or setup runs.
func Current() ProcessInfo { return current }

// Parent describes the process that started this one; nil in the main process.
// A worker does not outlive its parent, so the parent is alive.
func Parent() *ProcessInfo {
	if parent == nil {
		return nil
	}
	p := *parent
	return &p
}

// nextName shows the lineage.
func nextName() string {
	n := strconv.FormatInt(started.Add(1), 10)
	if parent == nil {
		return "worker-" + n
	}
	return current.Name + ":" + n
}
