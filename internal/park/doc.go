// Package park lets goroutines sleep until another process changes a word that both
// share.
//
// Each process has a mailbox in a segment that all of them map. Beside the word that
// goroutines wait for lies a mask of the processes in which some do. Who changes the
// word takes one process out of the mask, or all, notes in their mailboxes where
// to look, and wakes them. In a process one of the goroutines that wait, the leader,
// sleeps in the kernel for all of them and tells the others: one thread, however
// many goroutines and words. When it has what it waited for, another one leads.
//
// Every process can write the mailboxes and masks, since waking needs that. The roster, which says which slots
// are in use, has a segment of its own that only the root process can write: a process that could hide another
// one in it would make the others overlook that process's locks.
//
// Nothing here depends on anybody's health. A mask and a mailbox are bits, not lists:
// who dies between two steps leaves nothing half done but a wake-up, and those who
// watch over the processes tell everybody to look at everything (Mail.RingAll). Who
// is stopped with somebody else's wake-up in his hands delays them until the
// heartbeat, at which every leader looks at everything too.
package park
