package insight

import (
	"expvar"

	"github.com/go-multiprocessing/mp"
)

// Publish makes the pool's [mp.Stats] a variable of package expvar, which serves it at /debug/vars
// as JSON; times are in nanoseconds. The arguments of slow tasks are left out, unless [ShowArguments]
// says otherwise. Each look costs what [mp.Pool.Stats] does. Like expvar.Publish
// it panics if the name is taken, and there is no way back: the variable lives as long as the program,
// and the pool with it.
func Publish(name string, pool *mp.Pool, opts ...Option) {
	o := optionsOf(opts)
	expvar.Publish(name, expvar.Func(func() any { return o.statsOf(pool) }))
}
