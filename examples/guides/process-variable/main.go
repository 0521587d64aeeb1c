// Guide "Multiprocessing_", Sharing Data Between Two Processes, Important Rule: the guide has one
// line, "x = 10", and says that x is not shared; here is a program that shows this.
//
// Differences in mp: a process is the program started again, so it always finds x as the package
// initializes it. In Python, x depends on how processes are started: with spawn it would also be
// 10, with fork it would have main's value at that moment, here 11. In either language a process
// gets its input as an argument. In mp, Wait returns the process's result; Python's Process loses
// its target's return value.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/go-multiprocessing/mp"
)

var x = 10

var add = mp.Register("add", func(_ context.Context, n int) (int, error) {
	fmt.Println("The process finds x =", x)
	x += n
	fmt.Println("The process leaves x =", x)
	return x, nil
})

func main() {
	mp.Init()

	x = 11
	p, err := mp.NewProcess(add, 5, mp.ProcessConfig{})
	if err != nil {
		log.Fatal(err)
	}
	if err := p.Start(); err != nil {
		log.Fatal(err)
	}
	returned, err := p.Wait(context.Background())
	if err != nil {
		log.Fatal(err)
	}

	fmt.Println("Main still has x =", x)
	fmt.Println("The process returned", returned)
}
