package objects

import "sync/atomic"

// A pool's worker says when a task begins and ends. The owner of memory may destroy it at any
// moment; slices of that memory that a task has taken are valid until the task ends.
var (
	tells   bool         // set once, before the first task
	active  atomic.Bool  // this process shares something
	inTask  atomic.Bool  // true only if tells and active are
	waiting atomic.Int32 // segments to be unmapped at the end of the task
)

// TasksTell records that BeginTask and EndTask will be called.
func TasksTell() { tells = true }

// BeginTask records that a task begins. It costs nothing in a process that shares nothing.
func BeginTask() {
	if active.Load() {
		inTask.Store(true)
	}
}

// EndTask records that the task has ended, and unmaps memory that was destroyed in the meantime.
func EndTask() {
	if !active.Load() {
		return
	}
	inTask.Store(false)
	if waiting.Load() > 0 {
		here.mu.Lock()
		defer here.mu.Unlock()
		here.dropLate()
	}
}
