// Package ipc has what processes share and say to each other: locks, numbers and arrays in shared memory, queues
// and pipes. Package mp starts the processes.
//
// # A first program
//
//	type job struct {
//		Total *ipc.Atomic[int]
//		N     int
//	}
//
//	var work = mp.Register("work", func(ctx context.Context, j job) (int, error) {
//		return j.Total.Add(j.N)
//	})
//
//	func main() {
//		mp.Init()
//
//		pool, err := mp.NewPool(mp.PoolConfig{})
//		…
//		defer pool.Close()
//
//		total, err := ipc.NewAtomic(0)
//		…
//		defer total.Close()
//
//		_, err = mp.Map(ctx, pool, work, []job{{total, 1}, {total, 2}})
//	}
//
// An object travels as a handle, in an argument, a result, or an element of a queue: a pointer to the same object
// arrives, not a copy. All processes that this one has started, and theirs, can share it.
//
// # Which one?
//
//   - Use [Atomic] for a number, [Value] for a small struct of numbers that changes as a whole, and [Array] for
//     many numbers, which are worked on in place.
//   - Use [Mutex] for what only one process may do at a time, [RWMutex] if most of them only read, and
//     [RecursiveMutex] if functions that lock call each other.
//   - Use [BoundedSemaphore] to let a few in at a time, and [Semaphore] to count what one process has made ready
//     for another.
//   - Use [Event] to let all go on, [Cond] to wait for what others change under a Mutex, [Barrier] to work in
//     steps, [WaitGroup] to wait for what is under way, and [Once] for what one process does for all.
//   - Use [Queue] for work, or results, that any number of processes put and any number get. [Select] waits for
//     several queues, connections and events at once, and through [Done] for processes and futures.
//   - Use [NewPipe] for a dialogue of two processes, each of which must see the end of the other. Its ends are
//     a [Conn] each. Package connection has a Conn over sockets.
//   - Use [Slab] for a payload of a megabyte or more that one process at a time has and hands on. An [Array] is
//     for many processes at a time.
//   - Use [SharedMemory] with a name for programs that do not know each other.
//   - Use package manager for maps, slices and sets that several processes change, and for objects on other
//     machines.
//
// # Owners
//
// An object belongs to the process that made it. An object that a task returns belongs to the caller from then
// on, and outlives its worker. When the owner closes it, it ends for everybody, and those who wait for it get
// [ErrClosed]. In another process, Close ends it there. So main makes an object, and defers Close. An object that
// is never closed takes memory until its owner ends.
//
// # Locks
//
// Locks are held by processes. When a process dies that holds a lock, what the lock guards may be half changed.
// Everybody gets [ErrOwnerDied] instead of the lock until somebody has repaired that with [Mutex.Recover]. A task
// that returns with a lock held leaves it to its worker, which may live long: defer Unlock.
//
// # Memory
//
// [Array.Slice] is the shared memory itself. It is valid as long as the Array is open, or the task runs that got
// it. [Array.View] keeps the memory until its function returns. A process that writes an element while others
// use it needs a lock, as with any slice. Before a task begins and after its end no lock is needed.
//
// # Queues and pipes
//
//	names, err := ipc.NewQueue[string]()
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
// A [Queue] is a channel between processes: bounded, first in, first out, each element for one receiver. Its Close
// is a channel's, not the other objects': it ends putting for everybody, the elements in the queue can still be
// received, and All ends after the last of them. So no element has to mean the end. The process that knows that
// all have put closes the queue. A worker that dies closes nothing. [Queue.Discard] gives up the elements that are
// left: main, which has made the queue, defers it. [Queue.TaskDone] and [Queue.Join] tell when all elements have
// been dealt with, not only received.
//
// A pipe has two ends, and one process has an end at a time. In any message an end moves: the sender's methods
// return [ErrMoved] from then on. So there are no copies to close. When an end is closed, or its process dies, the
// other end receives io.EOF after everything that was sent before. A pool's worker lives on after its task: close
// the end there. A [Slab] moves like an end, and with it a slice of numbers in shared memory, which is neither
// encoded nor copied. The last holder closes it, so that its memory can be used again.
//
// An element or a message that was sent is whole when it is received, even if the sender has died by then. An
// element that a process had received dies with that process. A call that waits for room, an element or a message
// ends with its context, and a task's context ends with its call.
//
// For other ways to carry messages there are [NewConn] and [Transport].
package ipc
