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
// The mailboxes and masks can be written by every process, for waking needs that. Which slots are
// in use cannot: a process that hid another one would make others overlook its locks. So that
// lies in a segment which only the root process can write.
//
// Nothing here depends on anybody's health. A mask and a mailbox are bits, not lists:
// who dies between two steps leaves nothing half done but a wake-up, and those who
// watch over the processes tell everybody to look at everything (Mail.RingAll). Who
// is stopped with somebody else's wake-up in his hands delays them until the
// heartbeat, at which every leader looks at everything too.
package park
