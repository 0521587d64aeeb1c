//go:build !cgo || !linux

package c

import "github.com/go-multiprocessing/mp/internal/deathtest"

// Deaths is empty without cgo.
var Deaths map[string]deathtest.Death
