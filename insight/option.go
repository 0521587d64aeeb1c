package insight

import "github.com/go-multiprocessing/mp"

// An Option changes [Handler] or [Publish]. A nil Option does nothing.
type Option func(*options)

type options struct{ arguments bool }

// ShowArguments shows the arguments of slow tasks (see [mp.SlowTask]). The arguments are left out
// by default, since anyone who can reach the page could read them.
func ShowArguments() Option { return func(o *options) { o.arguments = true } }

func optionsOf(opts []Option) (o options) {
	for _, opt := range opts {
		if opt != nil {
			opt(&o)
		}
	}
	return o
}

// statsOf returns the pool's Stats without the values that must not be shown.
func (o options) statsOf(pool *mp.Pool) mp.Stats {
	s := pool.Stats() // a copy
	if !o.arguments {
		for i := range s.Slowest {
			s.Slowest[i].Arg = ""
		}
	}
	return s
}
