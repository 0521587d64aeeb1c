// Package segments keeps the descriptors of shared segments and hands them to processes that attach
// objects.
//
// The server runs in the root of a tree of processes, the process that is not a worker of another
// one. Every other process has a socket to the server from its start. The server ignores that
// socket until the process asks its parent to have it served. A process that shares nothing
// therefore costs two descriptors. To each process that asks, the server gives a number, which is
// the process's slot, and the segments with the mailboxes and the roster of slots. It records which
// process has which segment, and learns of each death from a pidfd. It forgets a segment when the
// segment's owner destroys it or no living process has it.
//
// The server does not trust its clients. A client can name only segments whose random number it was
// told, can destroy only its own, and can keep only a limited number of segments.
package segments
