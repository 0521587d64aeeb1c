//go:build !cgo || !linux

package c

import "github.com/go-multiprocessing/mp/internal/testing/deaths"

// Deaths is empty without cgo.
var Deaths map[string]deaths.Death
