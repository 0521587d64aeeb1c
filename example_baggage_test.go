package mp_test

import (
	"context"
	"fmt"
	"log"

	"github.com/go-multiprocessing/mp"
)

type traceKey struct{}

func init() {
	mp.RegisterBaggage(
		func(ctx context.Context, b mp.Baggage) {
			if id, ok := ctx.Value(traceKey{}).(string); ok {
				b["example/trace"] = id
			}
		},
		func(ctx context.Context, b mp.Baggage) context.Context {
			if id, ok := b["example/trace"]; ok {
				ctx = context.WithValue(ctx, traceKey{}, id)
			}
			return ctx
		})
}

var traceOf = mp.Register("traceOf", func(ctx context.Context, _ struct{}) (string, error) {
	id, _ := ctx.Value(traceKey{}).(string)
	return id, nil
})

func ExampleRegisterBaggage() {
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	ctx := context.WithValue(context.Background(), traceKey{}, "4bf92f3577b34da6")
	fmt.Println(mp.Call(ctx, pool, traceOf, struct{}{}))
	// Output: 4bf92f3577b34da6 <nil>
}
