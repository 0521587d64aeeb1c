// The hello command is a minimal worker: its first output is its process ID.
package main

import (
	"os"
	"strconv"
)

func main() {
	_, _ = os.Stdout.WriteString(strconv.Itoa(os.Getpid()) + "\n")
}
