// Guide "Introduction" (to multiprocessing), Module, Creating a Process.
//
// Differences in mp: the guide's program has no __main__ guard, so where Python spawns its
// processes, the program prints a traceback and no Hello. It still exits with 0, since join does
// not report the failure. In mp, Wait returns a process's error. Without Init, mp starts no
// processes and returns mp.ErrNotInitialized.
//
// (The list in the guide under "When to Use Threading" actually describes when to use processes.)
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
