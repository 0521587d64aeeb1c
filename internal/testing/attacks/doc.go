// Package attacks tests what pools, shared objects, managers and connections promise about a
// corrupt worker: it harms only its own tasks, the objects it was given, and small objects that
// share a segment with them. The table of attacks, which docs/attacks.md shows, is generated from
// lists of descriptors, words and messages, and of the attacks on each.
//
// A row runs as a task in a worker of a separate program, which the tests start and may lose.
// Meanwhile, bystanders work in that program: calls, maps and streams in the same pool and in
// another one, a queue, a lock, a manager and a connection. A row fails if a bystander gets a wrong
// result or waits too long, if the program dies or grows, if something does not close, or if
// anything is left behind.
package attacks
