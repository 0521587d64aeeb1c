package mp_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/go-multiprocessing/mp"
)

// Usually the variable is set outside the program: MPDEBUG=inline dlv debug ./cmd/server.
func ExampleNewPool_debug() {
	_ = os.Setenv("MPDEBUG", "inline,nodeadline")
	defer os.Unsetenv("MPDEBUG")
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 2})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	pid, err := mp.Call(context.Background(), pool, pidOfTask, struct{}{})
	fmt.Println(pid == os.Getpid(), err) // a debugger stops at breakpoints in the task
	// Output: true <nil>
}

var pidOfTask = mp.Register("pidOfTask", func(context.Context, struct{}) (int, error) { return os.Getpid(), nil })
