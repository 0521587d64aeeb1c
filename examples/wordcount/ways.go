package main

import (
	"context"
	"errors"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/manager"
)

// shared is the data that the workers share in a manager.
type shared struct {
	Work  *manager.Queue[string]     // directories to visit
	Seen  *manager.Set[digest]       // texts
	Words *manager.Dict[string, int] // counts
}

var plus = manager.Function("plus", func(_ context.Context, n, more int) (int, error) { return n + more, nil })

// work visits directories until there are no more directories to visit.
var work = mp.Register("work", func(ctx context.Context, s shared) (result, error) {
	var all result
	for dir, err := range s.Work.All(ctx) {
		if err != nil {
			return all, err
		}

		found, below, err := visit(dir, func(d digest) (bool, error) {
			n, err := s.Seen.Add(ctx, d) // if several workers find the same text, exactly one of them gets 1
			return n == 1, err
		})
		for _, dir := range below {
			err = errors.Join(err, s.Work.Put(ctx, dir))
		}
		err = errors.Join(err, manager.UpdateAll(ctx, s.Words, plus, found.Words), s.Work.TaskDone(ctx))
		if err != nil {
			return all, err
		}
		all.add(found)
	}

	return all, nil
})

// inProcesses makes workers visit a tree.
func inProcesses(ctx context.Context, dir string, workers int) (all result, err error) {
	m, err := manager.Start(ctx, manager.Config{})
	if err != nil {
		return all, err
	}
	defer m.Close()
	s, err := newShared(ctx, m)
	if err != nil {
		return all, err
	}

	pool, err := mp.NewPool(mp.PoolConfig{Workers: workers})
	if err != nil {
		return all, err
	}
	defer pool.Close()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	parts := mp.MapAsync(ctx, pool, work, repeated(s, workers), mp.ChunkSize(1))
	parts.OnDone(func(_ []result, err error) { cancel(err) }) // if a worker fails, this ends the waiting below
	if err := s.Work.Put(ctx, dir); err != nil {
		return all, err
	}

	if err := s.Work.Join(ctx); err != nil { // all directories have been visited, including their subdirectories
		return all, err
	}
	if err := s.Work.CloseSend(ctx); err != nil {
		return all, err
	}
	results, err := parts.Result(context.WithoutCancel(ctx))
	if err != nil {
		return all, err
	}
	for _, r := range results {
		all.add(r)
	}

	all.Words, err = s.Words.Copy(context.WithoutCancel(ctx))
	return all, err
}

func newShared(ctx context.Context, m *manager.Manager) (s shared, err error) {
	if s.Work, err = manager.NewQueue[string](ctx, m, 0); err != nil {
		return s, err
	}
	if s.Seen, err = manager.NewSet[digest](ctx, m, nil); err != nil {
		return s, err
	}
	s.Words, err = manager.NewDict[string, int](ctx, m)
	return s, err
}

func repeated(s shared, n int) []shared {
	all := make([]shared, n)
	for i := range all {
		all[i] = s
	}
	return all
}

// inOneProcess does the same work as inProcesses, but without workers.
func inOneProcess(ctx context.Context, dir string) (all result, err error) {
	all.Words = map[string]int{}
	seen := map[digest]bool{}
	for list := []string{dir}; len(list) > 0; {
		if err := ctx.Err(); err != nil {
			return all, context.Cause(ctx)
		}

		found, below, err := visit(list[0], func(d digest) (bool, error) {
			fresh := !seen[d]
			seen[d] = true
			return fresh, nil
		})
		if err != nil {
			return all, err
		}
		list = append(list[1:], below...)
		all.add(found)
		for word, n := range found.Words {
			all.Words[word] += n
		}
	}

	return all, nil
}
