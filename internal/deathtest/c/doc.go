// Package c has ways to die that need C. Without cgo it has none.
package c
