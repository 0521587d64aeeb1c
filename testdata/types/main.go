// Types sends objects of every kind of number to the worker binary that its argument names, in
// interfaces, and prints the types that arrive.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/testdata/typenames"
)

func main() {
	mp.Init()

	pool, err := mp.NewPool(mp.PoolConfig{Workers: 1, Executable: os.Args[1]})
	if err != nil {
		fmt.Println("pool:", err)
		return
	}
	defer pool.Close()

	send[int](pool)
	send[int8](pool)
	send[int16](pool)
	send[int32](pool)
	send[int64](pool)
	send[uint](pool)
	send[uint8](pool)
	send[uint16](pool)
	send[uint32](pool)
	send[uint64](pool)
	send[float32](pool)
	send[float64](pool)
}

func send[T ipc.Number](pool *mp.Pool) {
	array, err := ipc.NewArray[T](3)
	name(pool, array, err)
	value, err := ipc.NewValue(T(1))
	name(pool, value, err)
	atomic, err := ipc.NewAtomic(T(1))
	name(pool, atomic, err)
	slab, err := ipc.NewSlab[T](3)
	name(pool, slab, err)
}

// name prints the type that a worker finds in an interface that holds v.
func name(pool *mp.Pool, v any, err error) {
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(mp.Call(context.Background(), pool, typenames.Of, v))
}
