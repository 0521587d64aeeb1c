// Guide "Multiprocessing_", the first program.
//
// Differences in mp: none that matter. Each process gets a copy of the numbers. The guide says that
// the two processes run on different processors; in fact, the system decides whether they do. A
// number takes 50 ms instead of 500.
package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/go-multiprocessing/mp"
)

var printSquares = mp.RegisterAction("printSquares", func(_ context.Context, numbers []int) error {
	for _, n := range numbers {
		time.Sleep(50 * time.Millisecond) // simulates work
		fmt.Printf("Square of %d: %d\n", n, n*n)
	}
	return nil
})

var printCubes = mp.RegisterAction("printCubes", func(_ context.Context, numbers []int) error {
	for _, n := range numbers {
		time.Sleep(50 * time.Millisecond)
		fmt.Printf("Cube of %d: %d\n", n, n*n*n)
	}
	return nil
})

func main() {
	mp.Init()

	numbers := []int{2, 3, 8}
	var processes []*mp.Process[struct{}]
	for _, f := range []*mp.Func[[]int, struct{}]{printSquares, printCubes} {
		p, err := mp.NewProcess(f, numbers, mp.ProcessConfig{})
		if err != nil {
			log.Fatal(err)
		}
		if err := p.Start(); err != nil {
			log.Fatal(err)
		}
		processes = append(processes, p)
	}

	for _, p := range processes {
		if _, err := p.Wait(context.Background()); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("Done!")
}
