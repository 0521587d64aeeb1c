package insight

import "github.com/go-multiprocessing/mp"

// An Option is one of [Handler] and of [Publish]. A nil one changes nothing.
type Option func(*options)

type options struct{ arguments bool }

// ShowArguments shows the arguments of slow tasks, as [mp.SlowTask] has them. Without it they
// are left out, since anyone who can reach the page could read them.
func ShowArguments() Option { return func(o *options) { o.arguments = true } }

func optionsOf(opts []Option) (o options) {
	for _, opt := range opts {
		if opt != nil {
			opt(&o)
		}
	}
	return o
}

// statsOf are the pool's figures, without what is not to be shown.
func (o options) statsOf(pool *mp.Pool) mp.Stats {
	s := pool.Stats() // a copy
	if !o.arguments {
		for i := range s.Slowest {
			s.Slowest[i].Arg = ""
		}
	}
	return s
}
