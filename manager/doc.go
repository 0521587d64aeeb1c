// Package manager has objects that live in a server process, as Python's
// multiprocessing.Manager has them: maps, slices, sets, queues and locks whose shape changes all the
// time, and objects of one's own types, used from many processes and from other machines.
//
//	m, err := manager.Start(ctx, manager.Config{})
//	…
//	defer m.Close()
//	seen, err := manager.NewSet[string](ctx, m, nil)
//	…
//	_, err = mp.Map(ctx, pool, crawl, []job{{seen, "a"}, {seen, "b"}})
//
// and in a worker
//
//	fresh, err := j.Seen.Add(ctx, link) // 1 in one worker, 0 in all others
//
// # Which one?
//
//   - Use arguments and results, and what package mp shares, wherever that will do: an [ipc.Atomic] or
//     [ipc.Mutex] takes nanoseconds, an [ipc.Queue] hundreds of them; a call of a manager is a message
//     there and one back, some five microseconds.
//   - Use [Dict], [List], [Set] and [Value] for data that grows and shrinks, which several
//     processes change.
//   - Use [Namespace] for a few settings of different types.
//   - Use [Type] and [Method] if what you share has rules of its own: the methods run where the object
//     is, so that one message does what would be several otherwise.
//   - Use [Queue], [Mutex] and the like for other machines, or to put them into other objects.
//
// # Correct together
//
// Each method is one step. Two of them are not: between a Get and a Set somebody else may set. For
// that there are GetOrSet, Swap, Pop and CompareAndSwap; [Update], with which a registered
// function makes the new value of the old one in the manager's process; and [Manager.Do], which
// does many operations of any objects in one message, and one step.
//
// # Proxies
//
// What one has of an object is a proxy: a pointer that can be sent to other processes, in any message
// of mp, and be put into other objects of the same manager: a Dict of Lists. An object lives as
// long as some process has a proxy of it, or it is in an object that lives, or it was made with
// a name ([Named]). A proxy that nobody uses any more is found by the garbage collector, or
// ended by its Close. One that was sent on keeps its object until it is closed or its process
// ends, and a minute longer ([Config].Linger): it may be on its way.
//
// Values are copies: they are encoded as arguments of tasks are. Objects of package mp and files
// cannot be kept in a manager.
//
// # When something dies
//
// The manager ends with the process that has started it. When a client dies, its locks go to others
// as those of package mp do: the next one gets [ipc.ErrOwnerDied] until somebody has repaired what
// the lock guards; its permits of a [BoundedSemaphore] come back, what it waited for is forgotten,
// and a [Barrier] at which it waited is broken. When the manager dies, calls that were under
// way return [ErrLost], later ones [mp.ErrClosed]. For a remote client the first call after the
// end may return ErrLost too; later ones return the error of dialing, or [ErrGone] if another
// manager serves at the address.
//
// # Other machines
//
// A manager with an address ([Config].Address and Key, or [Server.Listen] in a [SetupFunc]) is found by
// [Dial] from programs that it has not started. Nothing that comes from there is looked at before
// package connection has let it in. A client that is let in can use every object whose name or
// proxy it has: those who share a key trust each other with the data, not with each other's
// processes.
//
// # Bounds
//
// [Limits] bounds what clients can make a manager store and do. Within a process tree a request and an
// answer have at most 64 MiB each; a longer one is [ErrLimit]. [Server.Listen] has the bounds of remote
// clients. A client that leaves more than 256 MiB of answers unread, or 64 MiB if it is remote, is
// disconnected, and its calls return [ErrLost].
package manager
