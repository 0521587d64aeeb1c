package insight

import (
	"expvar"

	"github.com/go-multiprocessing/mp"
)

// Publish makes the pool's [mp.Stats] a variable of package expvar, which serves it at /debug/vars
// as JSON; times are in nanoseconds. The arguments of slow tasks are left out without
// [ShowArguments]. Each read of the variable costs as much as [mp.Pool.Stats]. Like expvar.Publish
// it panics if the name is taken, and it cannot be undone: the variable keeps itself and the pool
// alive until the program ends.
func Publish(name string, pool *mp.Pool, opts ...Option) {
	o := optionsOf(opts)
	expvar.Publish(name, expvar.Func(func() any { return o.statsOf(pool) }))
}
