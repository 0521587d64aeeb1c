package mp

import "time"

// SlowTask is a task that took long: 10 ms or more. The worker measures these by themselves.
//
// Arg is the beginning of the task's argument, one line. A value in it that is a [slog.LogValuer],
// [fmt.Formatter], [error] or [fmt.Stringer], or has a method Redacted, is shown by the first of these:
// so are pointers to it, and what is in structs, slices and interfaces. Of a map there is the
// length alone. Such a method is called on a goroutine of its own; if it panics, or takes more than
// 100 ms, there is the type's name instead. What does not hide itself is shown:
// [PoolConfig.HideArguments] shows nothing, and package insight shows arguments to others only if told to.
type SlowTask struct {
	Func   string
	Task   uint64 // its id; see [TaskInfo]
	Worker int
	Took   time.Duration
	Arg    string // the beginning of its argument; "" with HideArguments
	Lost   bool   // it ended with its worker
}
