//go:build linux

package manager_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/go-multiprocessing/mp/manager"
)

func BenchmarkDict(b *testing.B) {
	ctx := context.Background()
	m := start(b, manager.Config{})
	d := must(manager.NewDict[string, int](ctx, m))
	b.ReportAllocs()
	for i := range b.N {
		_ = d.Set(ctx, "a", i)
		if v, ok, err := d.Get(ctx, "a"); v != i || !ok || err != nil {
			b.Fatal(v, ok, err)
		}
	}
}

func BenchmarkDict16(b *testing.B) {
	ctx := context.Background()
	m := start(b, manager.Config{})
	d := must(manager.NewDict[int, int](ctx, m))
	b.SetParallelism(8)
	b.RunParallel(func(p *testing.PB) {
		for i := 0; p.Next(); i++ {
			_ = d.Set(ctx, i%10, i)
			if _, ok, err := d.Get(ctx, i%10); !ok || err != nil {
				b.Error(ok, err)
			}
		}
	})
}

func BenchmarkBatch(b *testing.B) {
	ctx := context.Background()
	m := start(b, manager.Config{})
	d := must(manager.NewDict[string, int](ctx, m))
	all := map[string]int{}
	for i := range 1000 {
		all[fmt.Sprint(i)] = i
	}
	for b.Loop() {
		if err := d.SetAll(ctx, all); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStart(b *testing.B) {
	ctx := context.Background()
	for b.Loop() {
		m := must(manager.Start(ctx, manager.Config{}))
		_ = m.Ping(ctx)
		_ = m.Close()
	}
}
