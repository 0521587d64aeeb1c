// Silent is not a worker: its main does not call Init.
package main

import (
	"fmt"
	"os"

	_ "github.com/go-multiprocessing/mp"
)

func main() { fmt.Fprintln(os.Stderr, "who am I?"); os.Exit(5) }
