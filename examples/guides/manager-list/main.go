// Guide "Multiprocessing_", Sharing Data Between Two Processes, Manager.
//
// Differences in mp: a list has an element type, and a call that fails, for instance because the
// manager has died, returns an error. Appending is atomic, as in Python. To change an element
// atomically, use CompareAndSwap or manager.UpdateAt.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/manager"
)

var addItem = mp.RegisterAction("addItem", func(ctx context.Context, l *manager.List[int]) error {
	_, err := l.Append(ctx, 10)
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
	shared, err := manager.NewList[int](ctx, m, nil)
	if err != nil {
		log.Fatal(err)
	}

	var processes []*mp.Process[struct{}]
	for range 2 {
		p, err := mp.NewProcess(addItem, shared, mp.ProcessConfig{})
		if err != nil {
			log.Fatal(err)
		}
		if err := p.Start(); err != nil {
			log.Fatal(err)
		}
		processes = append(processes, p)
	}
	for _, p := range processes {
		if _, err := p.Wait(ctx); err != nil {
			log.Fatal(err)
		}
	}

	items, err := shared.Copy(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(items)
}
