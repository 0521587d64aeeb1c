// Package mp runs Go functions in worker processes, as Python's multiprocessing
// does for Python: a crash there costs one error here, and so does a task that hangs or
// eats memory, if it has a timeout and a memory limit.
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
// every worker; [IsWorker] tells them so. What main does after Init, parsing flags for
// instance, is not done there: what tasks need of it goes into their arguments.
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
//   - Use [Pool.Stats] to see what workers are at, where their time goes, and how they ended.
//   - Use package insight to see that over HTTP, and for profiles of all workers in one file.
//   - Use [OnProgress] to be told how far a Map or Stream is, and package progress for bars.
//   - Use [PoolConfig].Executable if your main is heavy, or you write a library
//     or a plugin: the worker is then a small program of its own.
//   - Use arguments and results as long as that is fast enough: what is not shared
//     needs no lock.
//   - Use package ipc for what processes share and say to each other: locks, numbers and arrays
//     in shared memory, queues, pipes.
//   - Use package manager for maps, slices and sets that several processes change, for objects
//     of your own types that stay in one place, and for either from other machines.
//   - Use package connection for programs that this one has not started, or that run on
//     another machine.
//
// # What fails, and how
//
// A task's error arrives as an error: errors.Is and errors.As find common
// errors of the standard library, more with package stderrors, and what was registered with [RegisterError] and
// [RegisterErrorType] or [RegisterErrorWrapper]. A panic arrives as a [*PanicError], the death of the worker
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
// # Arguments
//
// Arguments and results are copied, except for what stands for something that processes share:
// an *os.File arrives as a duplicate of its descriptor, which the receiver closes, and an
// object of package ipc as a pointer to the same object. Tasks that wait for each other need
// a worker each.
//
// # Bounds
//
// [Limits] bound the memory, processors and descriptors of each worker, [Recycle]
// replaces workers that have had their share, [Restart] says what happens if they
// cannot start. [PoolConfig].RequireContainment has everything killed that a task
// leaves behind, see [Containment]. [Pool.Resize] changes the number of workers,
// [Pool.Ready] waits for them, and [Pool.Stats] tells how they are.
//
// # Security
//
// A worker runs with the rights of its user. mp protects the program from tasks that crash, and
// with limits from tasks that hang or eat memory. A worker that a bug makes write anywhere harms
// only its own tasks, the objects it was given, and small objects that share a segment with
// them. mp does not protect from a worker that an attacker has taken over. docs/security.md in the
// repository describes these levels of trust, and the bounds.
//
// # Developing workers
//
// The environment variable MPDEBUG changes how workers run, for pools and processes that are started
// under it; several words have commas between them:
//
//   - inline runs tasks in this process, where a debugger is: as [Inline] does, with the Setup and
//     Teardown of the pool, once. Nothing can be killed there, limited or contained; a
//     Process is a goroutine with the PID of this one.
//   - nodeadline has no worker ended for taking its time, at a breakpoint for instance: timeouts
//     and deadlines do not reach tasks that have begun. A cancelled context does, but a task that
//     ignores it goes on, and with it its call. Close ends everything, as ever.
//   - trace logs the life of every worker and task to [Output].Logger, at level Info.
//
// In lists of processes a worker is called as the program, with its name: "prog: worker-1". What it
// logs with slog comes to the parent's handler. [RegisterBaggage] has the identity of a trace, or of
// a request, go along with tasks.
//
// Worker processes need Linux. Elsewhere everything compiles, [Inline] works,
// and [NewPool] returns an error that is errors.ErrUnsupported.
package mp
