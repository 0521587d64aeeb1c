// Package xsync implements locks, queues and other objects through which goroutines of several
// processes synchronize. Each object is a small piece of shared memory that changes in single
// atomic steps, and one or more wait queues at which the goroutines of this process wait for it.
//
// Every object begins with a word whose upper half is its generation. An operation on a closed
// object finds a different generation, or zero, and fails. The memory records what a process holds
// under the process's slot number: the word of a lock names its holder, each process has a word
// that counts its readers, and each permit has a word that names its holder. Each instruction that
// takes or releases something is one atomic step, so Reap finds everything that a dead process
// held, whichever instruction was its last. A process may also die before it wakes others. After
// Reap, every waiter is therefore told to look again.
//
// As in Go's sync.Mutex, a goroutine that has just arrived may overtake those in the queue until
// one of the latter has waited for a millisecond; from then on, the lock goes to the queue.
// ErrOwnerDied corresponds to EOWNERDEAD of a robust POSIX mutex.
//
// The methods of objects are safe for concurrent use. They return ErrClosed once the object is
// closed, except that a process that has closed an object itself can still release what it holds.
// They may return ErrCorrupt if a corrupt process overwrites the object.
package xsync
