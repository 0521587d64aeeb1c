// Package link is the channel between a parent and one worker.
//
// It consists of a shared-memory segment, a bell (a pipe) in each direction and
// one socket. Small tasks and results lie in rings in the segment, where results
// survive the worker; large ones, the handshake, cancellations and log records
// go over the socket, which on both sides is read all the time. Marks in the
// segment tell which tasks the worker has begun.
//
// The parent believes nothing that it reads here: positions, lengths and
// numbers are checked, and results are parsed from a private copy. Garbage is
// an error, on which the owner ends the worker.
package link
