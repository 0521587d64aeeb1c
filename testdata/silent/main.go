// Silent is no worker: its main forgets Init.
package main

import (
	"fmt"
	"os"

	_ "github.com/go-multiprocessing/mp"
)

func main() { fmt.Fprintln(os.Stderr, "who am I?"); os.Exit(5) }
