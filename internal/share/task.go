package share

import "sync/atomic"

// A worker of a pool tells when a task begins and ends: with the task, the slices end
// that it has taken of memory that its owner may destroy at any moment.
var (
	tells   bool         // set once, before the first task
	active  atomic.Bool  // this process shares something
	inTask  atomic.Bool  // only if both
	waiting atomic.Int32 // segments to be unmapped at the end of the task
)

// TasksTell says that BeginTask and EndTask will be called.
func TasksTell() { tells = true }

// BeginTask says that a task begins. It costs nothing in a process that shares nothing.
func BeginTask() {
	if active.Load() {
		inTask.Store(true)
	}
}

// EndTask says that the task has ended, and unmaps what was destroyed meanwhile.
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
