// Package attacks holds pools, shared objects, managers and connections to what
// they promise of a corrupt worker: it harms only its own tasks and the objects
// that it was given. The table of attacks, which docs/attacks.md shows, is made
// from lists: of descriptors, words, messages and what can be done to each.
//
// A row runs as a task in a worker of a program of its own, which the tests start
// and may lose. Beside it bystanders work in that program: calls, maps and streams
// of the same pool and of another one, a queue, a lock, a manager and a connection. A
// row fails if one of them has a wrong result or waits too long, if the program dies
// or grows, if something does not close, or if anything is left.
package attacks
