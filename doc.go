// Package mp runs Go functions in worker processes, as Python's multiprocessing does for Python. A
// task that crashes its worker costs the program one error. So does a task that hangs or uses too
// much memory, if it has a timeout and a memory limit.
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
// A Go function cannot be sent to another process. Therefore functions are registered by name, in
// package variables. A worker is the same program started again, in which [Init] takes over.
// Package variables are initialized and init functions run in every worker too; [IsWorker] reports
// whether a process is one. The part of main after the call of Init, which parses flags for
// instance, does not run in workers. Pass the values that tasks need from it in their arguments.
//
// # Which one?
//
//   - Use goroutines if nothing you call crashes, hangs or needs a limit: they are cheaper than any
//     process.
//   - Use [Call] if you need one result now. Use [Submit] if you need it later: it returns a
//     [Future]. [Wait] and [AsCompleted] wait for many futures.
//   - Use [Map] if you have a slice. Use [Stream] if you have an iterator, which may be infinite,
//     and [StreamUnordered] if the order of the results does not matter.
//   - Use [Process] to run one function once, in a process of its own with a name, an exit code and
//     signals.
//   - Use [Pool] to run tasks in worker processes, and [Inline] to run them in this process, in a
//     debugger or a test. Both are an [Executor].
//   - Use [Pool.Stats] to see what workers are doing, where their time goes, and how they ended.
//   - Use package insight to see that over HTTP, and for profiles of all workers in one file.
//   - Use [OnProgress] to follow the progress of a Map or a Stream, and package progress for
//     progress bars.
//   - Use [PoolConfig.Executable] if your main is expensive to start, or if you write a library or
//     a plugin: the worker is then a small program of its own.
//   - Use arguments and results as long as they are fast enough: data that is not shared needs no
//     lock.
//   - Use package ipc for objects that processes share and for messages between them: locks,
//     numbers and arrays in shared memory, queues, pipes.
//   - Use package manager for maps, slices and sets that several processes change, and for objects
//     of your own types that stay in one process. Other machines can use both.
//   - Use package connection to talk to programs that this one has not started, or that run on
//     another machine.
//
// # Errors
//
// A task's error arrives as an error in which errors.Is and errors.As work. They find common errors
// of the standard library, further ones with package stderrors, and errors registered with
// [RegisterError], [RegisterErrorType] or [RegisterErrorWrapper]. A panic arrives as a
// [*PanicError].
//
// If a worker dies, only the task that it was running fails, with a [*WorkerError]. The results of
// its finished tasks are delivered, tasks that it had not started run on other workers, and a new
// worker replaces it. A value that cannot be encoded or decoded causes a [*CodecError], and a
// worker that cannot be started a [*StartError].
//
// When the context of a call ends, or the task's own [Timeout] passes, mp cancels the task's
// context. If the task ignores that, mp kills its worker, and the error holds the stacks of the
// worker's goroutines. With [Retries], a task whose worker died runs again. Workers end when this
// process ends, whatever the reason.
//
// # Arguments
//
// Arguments and results are copied, except for values that stand for something that processes
// share. An *os.File arrives as a duplicate of its descriptor, which the receiver must close. An
// object of package ipc arrives as a pointer to the same object.
//
// Tasks that wait for each other each need a worker.
//
// # Limits and lifetime
//
// [Limits] bounds the memory, processors and descriptors of each worker. [Recycle] replaces workers
// after a number of tasks, above a memory size or when they are idle. [Restart] controls how starts
// that fail are retried. [PoolConfig.RequireContainment] requires that processes that a task leaves
// behind are killed; see [Containment]. [Pool.Resize] changes the number of workers, [Pool.Ready]
// waits until all workers are in service, and [Pool.Stats] reports their state.
//
// # Security
//
// A worker runs with the rights of its user. mp protects the program from tasks that crash and,
// with limits, from tasks that hang or exhaust memory. A worker that writes to arbitrary memory
// because of a bug harms only its own tasks, the objects it was given, and small objects that share
// a segment with them. mp does not protect against a worker that an attacker has taken over.
// docs/security.md in the repository describes these levels of trust and their limits.
//
// # Debugging workers
//
// The environment variable MPDEBUG changes how pools and processes run their tasks. NewPool and
// Process.Start read it. Its value is a comma-separated list of these words:
//
//   - inline runs tasks in this process, where a debugger can stop them. The pool works like an
//     [Inline], and runs its Setup and Teardown once. Tasks cannot be killed, limited or contained.
//     A Process is a goroutine with the PID of this process.
//   - nodeadline never kills a worker because a task takes too long, at a breakpoint for instance.
//     Timeouts and deadlines do not reach tasks that have started. A cancelled context does, but a
//     task that ignores it keeps running, and its call keeps waiting. Close still ends everything.
//   - trace logs the life of every worker and task to [Output.Logger], at level Info.
//
// Lists of processes show the name of each worker behind the program's, as in "prog: worker-1".
// Records that a worker logs with slog go to the parent's handler. With [RegisterBaggage], tasks
// carry the identity of a trace or a request.
//
// # Platforms
//
// Worker processes need Linux 5.4 or newer on amd64 or arm64. Everything compiles on other systems,
// where [Inline] works and [NewPool] returns an error that is errors.ErrUnsupported.
package mp
