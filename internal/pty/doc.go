// Package pty opens terminals, for tests of what programs do at one.
package pty
