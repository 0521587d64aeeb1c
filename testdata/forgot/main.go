// Forgot uses a pool without calling Init.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/go-multiprocessing/mp"
)

func main() {
	_, err := mp.NewPool(mp.PoolConfig{})
	fmt.Println(errors.Is(err, mp.ErrNotInitialized), mp.IsWorker())
	children, _ := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/children", os.Getpid()))
	fmt.Printf("children: %q\n", children)
}
