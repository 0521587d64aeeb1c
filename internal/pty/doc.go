// Package pty opens pseudoterminals, for tests of programs at a terminal.
package pty
