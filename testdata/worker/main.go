// Worker is a worker binary.
package main

import (
	"github.com/go-multiprocessing/mp"
	_ "github.com/go-multiprocessing/mp/testdata/shared"
)

func main() { mp.Init() }
