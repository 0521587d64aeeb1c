// Guide "Multiprocessing_", Which One Should You Use?, Manager: a shared set.
//
// The guide mentions sets, which Python's Manager has had only since 3.14. Here Add also returns
// how many elements are new, so if several processes find the same thing, exactly one of them
// continues with it.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/manager"
)

type page struct {
	Seen  *manager.Set[string]
	Links []string
}

var follow = mp.Register("follow", func(ctx context.Context, p page) (int, error) {
	return p.Seen.Add(ctx, p.Links...)
})

func main() {
	mp.Init()
	ctx := context.Background()

	m, err := manager.Start(ctx, manager.Config{})
	if err != nil {
		log.Fatal(err)
	}

	defer m.Close()
	seen, err := manager.NewSet[string](ctx, m, nil)
	if err != nil {
		log.Fatal(err)
	}
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 2})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()

	fresh, err := mp.Map(ctx, pool, follow, []page{
		{seen, []string{"/", "/about", "/news"}},
		{seen, []string{"/", "/news", "/contact"}},
		{seen, []string{"/about", "/contact"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	total := 0
	for _, n := range fresh {
		total += n
	}
	n, err := seen.Len(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(total, "pages are new,", n, "are known")
}
