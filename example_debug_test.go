package mp_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/go-multiprocessing/mp"
)

// As a rule the variable is set outside, MPDEBUG=inline dlv debug ./cmd/server for instance.
func ExampleNewPool_debug() {
	_ = os.Setenv("MPDEBUG", "inline,nodeadline")
	defer os.Unsetenv("MPDEBUG")
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 2})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	pid, err := mp.Call(context.Background(), pool, pidOfTask, struct{}{})
	fmt.Println(pid == os.Getpid(), err) // a breakpoint in the task is met
	// Output: true <nil>
}

var pidOfTask = mp.Register("pidOfTask", func(context.Context, struct{}) (int, error) { return os.Getpid(), nil })
