//go:build !cgo || !linux

package c

import "github.com/go-multiprocessing/mp/internal/deathtest"

// Deaths are none: there is no C.
var Deaths map[string]deathtest.Death
