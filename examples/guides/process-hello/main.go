// Guide "Introduction" (to multiprocessing), Module, Creating a Process.
//
// What is different in mp: the guide's program has no __main__ guard, so that it
// prints a traceback and no Hello where Python spawns its processes, and still
// exits with 0, for join says nothing of that. mp starts none without Init and
// says so (mp.ErrNotInitialized), and Wait returns what went wrong.
//
// (What the guide lists under "When to Use Threading" is what processes are for.)
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/go-multiprocessing/mp"
)

var hello = mp.RegisterAction("hello", func(context.Context, struct{}) error {
	fmt.Println("-----Hello-----")
	return nil
})

func main() {
	mp.Init()

	process, err := mp.NewProcess(hello, struct{}{}, mp.ProcessConfig{})
	if err != nil {
		log.Fatal(err)
	}
	if err := process.Start(); err != nil {
		log.Fatal(err)
	}
	if _, err := process.Wait(context.Background()); err != nil {
		log.Fatal(err)
	}
}
