// Package shm creates shared-memory segments. They are sealed memfds: they have no name, and no
// process can change their size, so no access ever ends in SIGBUS.
package shm
