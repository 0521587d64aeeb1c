// The hello command is a minimal worker: it prints its process ID, and that is its first output.
package main

import (
	"os"
	"strconv"
)

func main() {
	_, _ = os.Stdout.WriteString(strconv.Itoa(os.Getpid()) + "\n")
}
