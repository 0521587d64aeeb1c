// Orphan starts workers, each of which starts a child. It prints their process IDs and ends in the
// middle of a Map, in the way that its argument names.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"

	"github.com/go-multiprocessing/mp"
)

var start = mp.Register("start", func(context.Context, int) (string, error) {
	c := exec.Command("sleep", "1000")
	err := c.Start()
	if err != nil {
		return "", err
	}
	return fmt.Sprint(os.Getpid(), " ", c.Process.Pid), nil
})

var forever = mp.Register("forever", func(context.Context, int) (int, error) { select {} })

func main() {
	mp.Init()
	ctx := context.Background()
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 2})
	if err != nil {
		panic(err)
	}

	pids, err := mp.Map(ctx, pool, start, make([]int, 4), mp.ChunkSize(1))
	if err != nil {
		panic(err)
	}

	mp.MapAsync(ctx, pool, forever, make([]int, 4))
	for _, p := range pids {
		fmt.Println(p)
	}
	fmt.Println("ready")
	switch os.Args[1] {
	case "return":
		return
	case "exit":
		os.Exit(0)
	case "panic":
		panic("on purpose")
	case "wait":
		select {}
	}
}
