package insight

import (
	"expvar"

	"github.com/go-multiprocessing/mp"
)

// Publish makes the pool's [mp.Stats] a variable of package expvar, which serves it as JSON at
// /debug/vars, with times in nanoseconds. The arguments of slow tasks are left out unless
// [ShowArguments] is given. Each read of the variable costs as much as [mp.Pool.Stats]. Like
// expvar.Publish, Publish panics if the name is taken, and cannot be undone: the variable and the
// pool stay alive until the program ends.
func Publish(name string, pool *mp.Pool, opts ...Option) {
	o := optionsOf(opts)
	expvar.Publish(name, expvar.Func(func() any { return o.statsOf(pool) }))
}
