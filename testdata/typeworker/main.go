// Typeworker is a worker binary that names types and constructs no object of package ipc.
package main

import (
	"github.com/go-multiprocessing/mp"
	_ "github.com/go-multiprocessing/mp/testdata/typenames"
)

func main() { mp.Init() }
