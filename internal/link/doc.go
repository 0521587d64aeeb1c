// Package link implements the channel between a parent and one worker.
//
// A link consists of a shared-memory segment, a doorbell (a pipe) in each direction, and one
// socket. Small tasks and results are in rings in the segment, where results survive the worker's
// death. Large tasks and results, the handshake, cancellations and log records go over the socket,
// which both sides read all the time. Marks in the segment record which tasks the worker has
// started.
//
// The parent does not trust anything that it reads from the worker. It checks positions, lengths
// and numbers, and parses results from a private copy. Garbage is an error, upon which the owner of
// the link kills the worker.
package link
