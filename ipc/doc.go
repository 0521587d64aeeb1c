// Package ipc provides what processes share and say to each other: locks, numbers and arrays in
// shared memory, queues and pipes. Package [mp] starts the processes.
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
// An object travels as a handle, in an argument, a result, or an element of a queue. The receiver
// gets a pointer to the same object, not a copy. An object can be shared by all processes that this
// process has started, and by the processes that those start.
//
// Most constructors take options and have defaults for all of them: NewMutex() makes a [Mutex],
// NewMutex(ipc.Isolated()) makes one in a memory segment of its own. The methods of an object that
// no constructor has made return an error, or a zero value if they have no error.
//
// # Which one?
//
//   - Use [Atomic] for a number, [Value] for a small struct of numbers that changes as a whole, and
//     [Array] for many numbers that processes work on in place.
//   - Use [Mutex] if only one process at a time may do something, [RWMutex] if most of them only
//     read, and [RecursiveMutex] if functions that lock call each other.
//   - Use [BoundedSemaphore] to admit a limited number of callers, and [Semaphore] to count what
//     one process has prepared for another.
//   - Use [Event] to let all waiting callers go on, [Cond] to wait for changes under a Mutex,
//     [Barrier] to work in steps, [WaitGroup] to wait until all work is done, and [Once] to do
//     something once for all processes.
//   - Use [Queue] for work or results that any number of processes put and any number get. [Select]
//     waits for several queues, connections and events at once, and through [Done] for processes
//     and futures.
//   - Use [NewPipe] for a dialogue between two processes, each of which must notice the end of the
//     other. Each end is a [Conn]. Package [github.com/go-multiprocessing/mp/connection] has a Conn
//     over sockets.
//   - Use [Slab] for a payload of a megabyte or more that one process at a time has. An [Array] is
//     for several processes at a time.
//   - Use [SharedMemory] with a name for programs that do not know each other.
//   - Use package [github.com/go-multiprocessing/mp/manager] for maps, slices and sets that several
//     processes change, and for objects on other machines.
//
// # Owners
//
// An object belongs to the process that made it. An object that a task returns belongs to the
// caller from then on, and outlives the worker. When the owner closes an object, the object ends
// for all processes, and callers that are waiting for it get [ErrClosed]. In another process, Close
// ends the object for that process alone. So main usually makes the object and defers Close. An
// object that is never closed takes memory until its owner ends.
//
// # Locks
//
// Locks are held by processes, not by goroutines. When a process dies while it holds a lock, what
// the lock guards may be half changed. All callers then get [ErrOwnerDied] instead of the lock,
// until one of them has used [Mutex.Recover] to repair the state. If a task returns without
// unlocking, its worker, which may live for a long time, still holds the lock: defer Unlock.
//
// # Memory
//
// [Array.Slice] is the shared memory itself. It is valid while the Array is open, or while the task
// that received the Array runs. [Array.View] keeps the memory until its function returns. A process
// that writes an element while others use that element needs a lock, as with any slice. Before a
// task begins and after it ends, no lock is needed.
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
// A [Queue] is a channel between processes: bounded, first in, first out, with each element going
// to one receiver. Close on a Queue is like close on a channel, and differs from Close on other
// objects: no process can put any more elements, the elements in the queue can still be received,
// and All ends after the last of them. So no special element has to mark the end. The process that
// knows that all producers are done closes the queue. When a worker dies, no queue is closed.
// [Queue.Discard] gives up the remaining elements; main, which made the queue, defers Discard.
// [Queue.TaskDone] and [Queue.Join] tell when all elements have been dealt with, not only received.
//
// A pipe has two ends, each of which belongs to one process at a time. An end in a message moves to
// the receiver: from then on, the end's methods return [ErrMoved] in the sender. So there are no
// copies to close. When an end is closed, or its process dies, the other end receives all earlier
// messages and then io.EOF. A pool's worker lives on after a task, so a task must close its ends
// itself. A [Slab] is a slice of numbers in shared memory that moves like an end and is neither
// encoded nor copied. The last holder closes the Slab, so that its memory can be used again.
//
// An element or a message is always received whole, even if the sender has died by then. An element
// that a process has received is lost if that process dies. A call that waits for room, for an
// element or for a message ends with its context, and a task's context ends with its call.
//
// [NewConn] and [Transport] are for other ways to carry messages.
package ipc
