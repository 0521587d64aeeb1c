// Guide "Multiprocessing_", Sharing Data Between Two Processes, Array.
//
// Differences in mp: Slice returns the shared memory itself, as an ordinary Go slice, and access to
// its elements costs nothing extra. Each access to an element of Python's Array takes a lock and a
// call. Copy returns a copy, like the guide's arr[:].
//
// Guide "Multiprocessing" (the one that begins "python Logo") wrongly says that a server process
// manages Values and Arrays. Values and Arrays are in memory that the processes share. Only a
// Manager has a server.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

var modify = mp.RegisterAction("modify", func(_ context.Context, array *ipc.Array[int]) error {
	array.Slice()[0] = 100
	return nil
})

func main() {
	mp.Init()

	array, err := ipc.NewArray[int](3)
	if err != nil {
		log.Fatal(err)
	}
	defer array.Close()
	copy(array.Slice(), []int{1, 2, 3})

	p, err := mp.NewProcess(modify, array, mp.ProcessConfig{})
	if err != nil {
		log.Fatal(err)
	}
	if err := p.Start(); err != nil {
		log.Fatal(err)
	}
	if _, err := p.Wait(context.Background()); err != nil {
		log.Fatal(err)
	}

	elements, err := array.Copy()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(elements)
}
