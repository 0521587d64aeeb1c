// Guide "Multiprocessing_", Which One Should You Use?, Manager: a shared dict.
//
// The guide shows only the list. Differences in mp: d[key] += n on Python's dict is a read followed
// by a write, and another process may write in between. manager.Update makes the manager do both
// atomically.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/manager"
)

var add = manager.Function("add", func(_ context.Context, n, by int) (int, error) { return n + by, nil })

type sale struct {
	Stock *manager.Dict[string, int]
	Item  string
	N     int
}

var sell = mp.RegisterAction("sell", func(ctx context.Context, s sale) error {
	_, err := manager.Update(ctx, s.Stock, s.Item, add, -s.N)
	return err
})

func main() {
	mp.Init()
	ctx := context.Background()

	m, err := manager.Start(ctx, manager.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	stock, err := manager.NewDict[string, int](ctx, m)
	if err != nil {
		log.Fatal(err)
	}
	if err := stock.SetAll(ctx, map[string]int{"apples": 100, "pears": 100}); err != nil {
		log.Fatal(err)
	}

	pool, err := mp.NewPool(mp.PoolConfig{Workers: 2})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	var sales []sale
	for range 20 {
		sales = append(sales, sale{stock, "apples", 1}, sale{stock, "pears", 2})
	}
	if _, err := mp.Map(ctx, pool, sell, sales); err != nil {
		log.Fatal(err)
	}

	left, err := stock.Copy(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(left)
}
