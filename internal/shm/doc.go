// Package shm makes shared-memory segments: sealed memfds, which have no name
// and whose size nobody can change, so that no access ever ends in SIGBUS.
package shm
