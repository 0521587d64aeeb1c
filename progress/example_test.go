//go:build linux

package progress_test

import (
	"context"
	"fmt"
	"log"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/progress"
)

func Example() {
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 2})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	show := progress.Start(progress.Config{}) // shown if stderr is a terminal
	defer show.Close()

	out, err := mp.Map(context.Background(), pool, work, make([]job, 1000), show.Bar("working"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintln(show, len(out), "results") // above the bars
}

func ExampleUpdates() {
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 2})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()

	follow, updates := progress.Updates()
	out := mp.MapAsync(context.Background(), pool, work, make([]job, 1000), follow)
	var last mp.Progress
	for p := range updates {
		last = p // or show it
	}

	fmt.Println(last.Done, "of", last.Total, "done,", last.Failed, "failed")
	if _, err := out.Result(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output: 1000 of 1000 done, 0 failed
}
