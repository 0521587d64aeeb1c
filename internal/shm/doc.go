// Package shm creates shared-memory segments. They are sealed memfds, which have no name and whose
// size no process can change, so no access ever ends in SIGBUS.
package shm
