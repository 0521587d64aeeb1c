// Package xsync has the objects with which goroutines of several processes wait for
// each other. Each is a small piece of shared memory, changed by single atomic steps,
// and a site at which this process's goroutines wait for it.
//
// Every object begins with a word whose upper half is its generation: an operation on
// an object that was closed finds another one, or zero, and fails. What a process holds is
// under its number, the slot: a lock's word names its holder, a reader or a permit has
// a word of its own by slot. So when a process has died, Bury finds what it held,
// whichever instruction was its last, because each instruction that takes or gives
// anything up is one atomic step. What the dead had still to tell to others is made
// good by telling everybody to look.
//
// Barging, and the starvation mode that follows a millisecond of bad luck, are those
// of Go's sync.Mutex; ErrOwnerDied is what POSIX calls a robust mutex.
package xsync
