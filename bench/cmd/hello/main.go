// The hello command is the least that a worker could be: it says who it is,
// and that is its first byte.
package main

import (
	"os"
	"strconv"
)

func main() {
	_, _ = os.Stdout.WriteString(strconv.Itoa(os.Getpid()) + "\n")
}
