// Package mp runs Go functions in worker processes, as Python's multiprocessing
// does for Python: what crashes, hangs or eats memory there costs one error here.
//
// # A first program
//
//	var square = mp.Register("square", func(ctx context.Context, n int) (int, error) {
//		return n * n, nil
//	})
//
//	func main() {
//		mp.Init() // a worker process runs its tasks in here and never returns
//
//		pool, err := mp.NewPool(mp.PoolConfig{})
//		if err != nil {
//			log.Fatal(err)
//		}
//		defer pool.Close()
//
//		squares, err := mp.Map(context.Background(), pool, square, []int{1, 2, 3})
//		fmt.Println(squares, err)
//	}
//
// A Go function cannot be sent to another process. So functions are registered
// by name, in package variables, and a worker is the same program started
// again: there, [Init] takes over. Package variables and init functions run in
// every worker; [IsWorker] tells them so.
//
// # Which one?
//
//   - Use goroutines if nothing you call crashes, hangs or needs a limit: they
//     are cheaper than any process.
//   - Use [Call] if you need one result now, and [Submit] if you want it later:
//     it returns a [Future]. [Wait] and [AsCompleted] wait for many.
//   - Use [Map] if you have a slice, [Stream] if you have an iterator, perhaps
//     an endless one, and [StreamUnordered] if order does not matter.
//   - Use [Process] if one function is to run once, in a process of its own that
//     has a name, an exit code and signals.
//   - Use [Pool] to run them in worker processes and [Inline] to run them in this
//     one, in a debugger or a test. Both are an [Executor].
//   - Use [PoolConfig].Executable if your main is heavy, or you write a library
//     or a plugin: the worker is then a small program of its own.
//
// # What fails, and how
//
// A task's error arrives as an error: errors.Is and errors.As find the standard
// library's sentinels and what was registered with [RegisterError] and
// [RegisterErrorType]. A panic arrives as a [*PanicError], the death of the worker
// as a [*WorkerError] for the one task that it was running: what it had finished is
// delivered, what it had not begun is run elsewhere, and a new worker takes its
// place. What cannot be encoded is a [*CodecError], a worker that cannot be
// started a [*StartError].
//
// When the context of a call ends, or the task's own [Timeout] passes, the task's
// context is cancelled; a task that ignores that is killed, and the error holds
// the stacks of its worker's goroutines. [Retries] runs a task again whose worker
// died. Workers end with this process, however it ends.
//
// # Bounds
//
// [Limits] bound the memory, processors and descriptors of each worker, [Recycle]
// replaces workers that have had their share, [Restart] says what happens if they
// cannot start. [PoolConfig].RequireContainment has everything killed that a task
// leaves behind, see [Containment]. [Pool.Resize] changes the number of workers,
// [Pool.Ready] waits for them, and [Pool.Stats] tells how they are.
//
// Worker processes need Linux. Elsewhere everything compiles, [Inline] works,
// and [NewPool] returns an error that is errors.ErrUnsupported.
package mp
