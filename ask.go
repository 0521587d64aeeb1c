package mp

import (
	"context"

	"github.com/go-multiprocessing/mp/internal/ask"
)

func init() { ask.Pool = askPool }

// askPool asks all workers of a pool, for packages whose imports are not for every worker.
func askPool(ctx context.Context, pool any, name string, arg []byte) ([]ask.Reply, error) {
	p, ok := pool.(*Pool)
	if !ok || !p.made() {
		return nil, errNoPool
	}
	question, err := ask.Question(name, arg)
	if err != nil {
		return nil, err
	}
	var replies []ask.Reply
	for _, a := range p.engine.Ask(ctx, question) {
		r := ask.Reply{Worker: a.Worker, PID: a.PID, Err: a.Err}
		if r.Err == nil {
			r.Data, r.Err = ask.Result(a.Data)
		}
		replies = append(replies, r)
	}
	return replies, nil
}
