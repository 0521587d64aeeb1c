// Package park lets goroutines sleep until another process changes a word that both processes
// share.
//
// Each process has a mailbox in a segment that all of them map. Next to each word that goroutines
// wait for lies a mask of the processes in which goroutines wait. A process that changes the word
// takes one process, or all processes, out of the mask, notes in the mailbox of each where to look,
// and wakes it. In each process, one of the waiting goroutines, the leader, sleeps in the kernel on
// behalf of all of them and calls the others. This takes one thread, however many goroutines and
// words there are. When the leader has what it waited for, another goroutine becomes the leader.
//
// Every process can write the mailboxes and masks, because waking requires it. The roster, which
// records the slots in use, has a segment of its own that only the root process can write. A
// process that could hide a second process in the roster would make all others overlook the locks
// of the second process.
//
// No process depends on the health of another. Masks and mailboxes consist of bits, not lists, so a
// process that dies between two steps leaves nothing half done except a wake-up. The root process,
// which notices the death, then tells every process to look at everything (Mailboxes.RingAll). A
// process that is stopped before it passes on a wake-up delays the waiters until the heartbeat, at
// which every leader looks at everything too.
package park
