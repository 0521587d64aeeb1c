//go:build linux

package pool

import (
	"context"
	"errors"

	"github.com/go-multiprocessing/mp/internal/cause"
)

// Cancelled cancels the job.
func (j *job) Cancelled(cause error) { j.pool.cancel(j, cause, false) }

// A watch waits for the end of a context, on behalf of all jobs that share the context. Sharing
// matters because there may be a great many jobs, and watching a context costs as much as a small
// task.
type watch struct {
	ctx  context.Context
	stop func() bool
	jobs *job // the first of a list linked by next
}

// watch cancels j when ctx ends. The caller must hold p.mu.
func (p *Pool) watch(ctx context.Context, j *job) {
	if w, ok := ctx.(Watcher); ok {
		ctx = w.Watch(j)
	}

	done := ctx.Done()
	if done == nil {
		return
	}

	w := p.watches[done]
	if w == nil {
		w = &watch{ctx: ctx}
		p.watches[done] = w
		w.stop = context.AfterFunc(ctx, func() { p.ended(w) })
	}

	if j.next = w.jobs; j.next != nil {
		j.next.prev = j
	}
	w.jobs, j.watch = j, w
}

// unwatch stops watching a job's context. The caller must hold p.mu.
func (p *Pool) unwatch(j *job) {
	w := j.watch
	if w == nil {
		return
	}

	if j.next != nil {
		j.next.prev = j.prev
	}
	if j.prev != nil {
		j.prev.next = j.next
	} else {
		w.jobs = j.next
	}

	j.watch, j.prev, j.next = nil, nil, nil
	if done := w.ctx.Done(); w.jobs == nil && p.watches[done] == w {
		delete(p.watches, done)
		w.stop()
	}
}

// ended cancels the jobs of a context that has ended.
func (p *Pool) ended(w *watch) {
	why, late := cause.Of(w.ctx), errors.Is(w.ctx.Err(), context.DeadlineExceeded)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.watches, w.ctx.Done())
	for j := w.jobs; j != nil; j = w.jobs {
		p.unwatch(j)
		p.mu.Unlock()
		p.cancel(j, why, late)
		p.mu.Lock()
	}
}
