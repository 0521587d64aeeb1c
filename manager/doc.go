// Package manager provides objects that live in a server process, like Python's
// multiprocessing.Manager: maps, slices, sets, queues and locks that grow and shrink, and objects
// of the program's own types. Many processes can use these objects, even on other machines.
//
//	m, err := manager.Start(ctx, manager.Config{})
//	…
//	defer m.Close()
//	seen, err := manager.NewSet[string](ctx, m, nil)
//	…
//	_, err = mp.Map(ctx, pool, crawl, []job{{seen, "a"}, {seen, "b"}})
//
// and in a worker:
//
//	fresh, err := j.Seen.Add(ctx, link) // 1 in one worker, 0 in all others
//
// # Choosing an object
//
//   - Use arguments, results and the objects of package ipc wherever they suffice: an operation on
//     an [ipc.Atomic] or [ipc.Mutex] takes nanoseconds, and one on an [ipc.Queue] takes hundreds of
//     nanoseconds, but a call to a manager takes one message there and one back, which is about
//     five microseconds.
//   - Use [Dict], [List], [Set] and [Value] for data that grows and shrinks and that several
//     processes change.
//   - Use [Namespace] for a few settings of different types.
//   - Use [Type] and [Method] if the shared data has rules of its own: methods run where the object
//     is, so a single message is enough where several would be needed otherwise.
//   - Use [Queue], [Mutex] and the like if other machines must use them, or to put them into other
//     objects.
//
// # Atomicity
//
// Each method is atomic, but two in a row are not: another process may call Set between your Get
// and your Set. To combine the two, use GetOrSet, Swap, Pop or CompareAndSwap; or [Update], with
// which a registered function computes the new value from the old one in the manager's process; or
// [Manager.Do], which performs many operations on any objects atomically, in one message.
//
// # Proxies
//
// A process uses an object through a proxy: a pointer that can be sent to other processes in any
// message of mp, and put into other objects of the same manager, for example into a Dict of Lists.
// An object lives as long as some process has a proxy for it, or a live object contains it, or it
// has a name ([Named]). The garbage collector ends a proxy that is no longer used; Close ends one
// at once. A proxy that was sent on keeps its object alive until the proxy is closed, or until the
// process that sent it has ended and one more minute has passed ([Config].Linger), since the copy
// may still be on its way.
//
// Values are copied: they are encoded like the arguments of tasks. A manager cannot keep files or
// objects of package ipc.
//
// # When a process dies
//
// The manager ends with the process that started it. When a client dies, its locks go to others, as
// with the locks of package ipc: processes that lock one get [ipc.ErrOwnerDied] until a process has
// repaired what the lock guards. The client's permits of a [BoundedSemaphore] come back, its
// waiting calls are dropped, and any [Barrier] at which it waited breaks. When the manager dies,
// calls in progress return [ErrLost], and later calls return [mp.ErrClosed]. For a remote client,
// the first call after the manager's death may return ErrLost too. Later calls return the error
// from dialing, or [ErrGone] if a different manager serves at the address.
//
// # Other machines
//
// A manager with an address ([Config].Address and Key, or [Server.Listen] in a [SetupFunc]) can be
// reached with [Dial] from programs that are not part of its process tree. The manager reads
// nothing from a remote client before package connection has authenticated it. An authenticated
// client can use every object whose name or proxy it has: clients that share a key trust each other
// with the data, but do not give each other access to their processes.
//
// # Bounds
//
// [Limits] bounds what clients can make a manager store and do. Within a process tree, a request or
// an answer may have up to 64 MiB; a call that needs more returns [ErrLimit]. [Server.Listen]
// documents the bounds for remote clients. A client that leaves more than 256 MiB of answers
// unread, or 64 MiB if it is remote, is disconnected, and its calls return [ErrLost].
package manager
