// Package c provides the deaths that need C. Without cgo there are none.
package c
