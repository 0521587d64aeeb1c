// Package objects manages the memory of the objects that processes share.
//
// Small objects lie in arenas, segments of one size. The process that created an arena fills it,
// and every process that has attached one of its objects reads it. A large object has a segment of
// its own. An arena begins with a byte for each of its lines that says which kind of object begins
// there, so the root process can clean up the objects after a process has died. Memory in an arena
// is not reused: an arena that is full and contains no live object is released as a whole. A
// process that comes late to a closed object therefore finds that the object has ended, and never
// finds another object in its place.
//
// Processes pass each other Tokens, which stand for objects. Attaching the first object in a
// segment costs a request to the broker; attaching others costs none.
package objects
