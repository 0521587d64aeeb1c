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
//   - Use [Atomic] for a number that processes share, [Value] for a small struct of
//     numbers that changes as a whole, [Array] for many, which are worked on in place.
//   - Use [Mutex] for what only one may do at a time, [RWMutex] if most of them only
//     read, and [RecursiveMutex] if functions that lock call each other.
//   - Use [BoundedSemaphore] to let so many in at a time, and [Semaphore] to count what
//     one process has made ready for another.
//   - Use [Queue] for work, or results, that any number of processes put and any number get,
//     and [Select] to wait for several things at once.
//   - Use [NewPipe] for a dialogue of two processes, each of which is to see the end of the
//     other; its ends are a [Conn].
//   - Use [Slab] for a payload of a megabyte or more that one process at a time has, and
//     hands on; [Array] is for many at a time.
//   - Use package manager for maps, slices and sets that several processes change, for objects
//     of your own types that stay in one place, and for either from other machines.
//   - Use package connection for programs that this one has not started, or that run on
//     another machine.
//   - Use [Event] to let all go on, [Cond] to wait for what others change under a Mutex,
//     [Barrier] to work in steps, [WaitGroup] to wait for what is under way, [Once] for
//     what one does for all.
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
// # Sharing
//
//	counter, err := mp.NewAtomic(0, mp.ObjectConfig{})
//	…
//	defer counter.Close()
//	_, err = mp.Map(ctx, pool, work, []job{{counter, "a"}, {counter, "b"}})
//
// What travels of a shared object, in an argument or a result or inside of either, is
// a handle: a pointer to the same object arrives, not a copy. All processes that this
// one has started, and theirs, can share it.
//
// An object belongs to the process that made it; one that a task returns belongs from
// then on to the caller, and outlives its worker. When the owner closes it, it ends for
// everybody, and who waits for it gets [ErrClosed]; in another process, Close ends it
// there. So main makes, and defers Close. An object that is never closed takes memory until
// this process ends.
//
// Locks are held by processes. When one dies that holds a lock, what it guards may be
// half changed, and everybody gets [ErrOwnerDied] in place of the lock, until somebody
// has repaired that with [Mutex.Recover]. A task that returns with a lock held leaves
// it to its worker, which may live long: defer Unlock.
//
// [Array.Slice] is the shared memory itself, for as long as the Array is open, or the
// task runs that got it. Use [Array.View] if you cannot be sure of that: the memory
// stays until its function returns. A process that writes an element while others use
// it needs a lock, as with any slice; before a task and after its end nothing is needed.
// Tasks that wait for each other need a worker each.
//
// An *os.File travels too: a duplicate of its descriptor, which the receiver closes.
// [SharedMemory] with a name is for programs that do not know each other.
//
// # Queues, pipes and slabs
//
//	names, err := mp.NewQueue[string](mp.QueueConfig{})
//	…
//	defer names.Discard()
//	readers := mp.MapAsync(ctx, pool, read, []source{{names}, {names}})
//	for _, name := range all {
//		err = names.Put(ctx, name)
//	}
//	err = names.Close() // there will be no more
//	_, err = readers.Result(ctx)
//
// and in a worker
//
//	for name, err := range s.Names.All(ctx) {
//
// A [Queue] is a channel between processes: bounded, first in, first out, each element for one
// of those who get. Its Close is that of a channel, not that of the other objects: it
// ends putting for everybody, what is in the queue can still be got, and All ends when
// everything has been. So nobody puts a value that means the end. Who closes is whoever
// knows that all have put: a worker that dies closes nothing. [Queue.Discard] gives up
// what is left; main, which has made the queue, defers it. [Queue.TaskDone] and
// [Queue.Join] are for who wants to know that all has been dealt with, not only got.
//
// A pipe has two ends, and one process has an end at a time. In any message an end moves:
// here its methods return [ErrMoved] from then on. So there are no copies to be closed, and
// when an end is closed, or its process dies, the other one receives io.EOF after what was
// sent before. A pool's worker lives on after its task: close the end there.
//
// A [Slab] moves like that, and with it a slice of numbers in shared memory, which is
// neither encoded nor copied. Who has it last closes it, so that its memory serves again.
//
// What was sent is whole when it is received, also if the sender has died by then. What a
// process had received goes with it. Who waits, for room, an element or a message, waits
// until its context ends: that of a task ends with its call.
//
// [Select] waits until one of several queues, connections, processes, futures and events is
// ready, and takes nothing. Package connection has a [Conn] over sockets; for any other way
// to carry messages there are [NewConn] and [Transport].
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
