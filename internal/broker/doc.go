// Package broker keeps the descriptors of shared segments and hands them to processes
// that meet a handle.
//
// The root of a tree of processes, the one that is nobody's worker, has the server.
// Every other process has a socket to it from birth, which nobody serves until it asks
// its parent for that; who shares nothing costs two descriptors. The server gives each
// process that asks a number, the slot, and the segments with the mailboxes and the roster
// of slots; it knows which process has which segment, and learns of the death of each from
// a pidfd. A segment that its owner has destroyed, or that no living process has, is
// forgotten.
//
// A client is not trusted: it can name only segments whose random number it was told,
// destroy only its own, and keep no more than so many.
package broker
