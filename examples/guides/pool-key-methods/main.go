// Guide "Multiprocessing" (sidebar position 14), Process Pools, Key Methods: the guide names map,
// apply, map_async and apply_async without a program of their own; here they are side by side.
//
// Differences in mp: the counterparts of these methods are functions, so that arguments and results
// have types. Several arguments go into a struct. The guide says that apply runs "one task at a
// time", which is true only of a single caller, since apply waits. Call waits too, but any number
// of goroutines may call it at once.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/go-multiprocessing/mp"
)

type sides struct{ Width, Height int }

var area = mp.Register("area", func(_ context.Context, s sides) (int, error) {
	return s.Width * s.Height, nil
})

func main() {
	mp.Init()
	ctx := context.Background()

	pool, err := mp.NewPool(mp.PoolConfig{Workers: 2})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()

	one, err := mp.Call(ctx, pool, area, sides{2, 3}) // apply
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("Call:", one)

	many, err := mp.Map(ctx, pool, area, []sides{{1, 2}, {3, 4}, {5, 6}}) // map
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("Map:", many)

	later := mp.Submit(ctx, pool, area, sides{4, 5})                                 // apply_async
	manyLater := mp.MapAsync(ctx, pool, area, []sides{{10, 20}, {30, 40}, {50, 60}}) // map_async

	one, err = later.Result(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("Submit:", one)

	many, err = manyLater.Result(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("MapAsync:", many)
}
