// Package c provides the deaths that need C. Without cgo, there are no such deaths.
package c
