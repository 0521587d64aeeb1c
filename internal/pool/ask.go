//go:build linux

package pool

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/query"
)

// maxAsked is the number of queries that a worker may leave unanswered.
const maxAsked = 16

// maxAnswered limits the total size of all answers to one query, in bytes. Each worker has an equal
// share, so that no worker can use up another worker's share.
const maxAnswered = 256 << 20

// minAnswer is the size in bytes that each worker's answer may always have, however many workers
// there are.
const minAnswer = 1 << 20

var errUnanswered = errors.New("it has not answered what it was asked before")

// asking is the state of the queries to a worker. The pool's lock guards it.
type asking struct {
	last uint32
	open map[uint32]question // queries whose callers are waiting
	owed int                 // answers that have not arrived yet
}

type question struct {
	most   int // the largest answer, in bytes
	answer chan reply
}

// reply is a worker's answer. If the answer is larger than the query allows, the reply has no data.
type reply struct {
	data []byte
	size int
}

// Ask sends the same query to all workers in service, whether they are busy or not. It returns when
// all answers have arrived or ctx has ended. The answers are in the order of the slots. The Answer
// of a worker that does not answer contains an error.
func (p *Pool) Ask(ctx context.Context, data []byte) []Answer {
	var asked []*worker
	p.mu.Lock()
	for _, w := range p.workers {
		if w.inService() {
			asked = append(asked, w)
		}
	}
	p.mu.Unlock()

	answers := make([]Answer, len(asked))
	var all sync.WaitGroup
	most := min(query.MaxEncoded, max(maxAnswered/max(len(asked), 1), minAnswer))

	for i, w := range asked {
		all.Go(func() {
			data, err := w.ask(ctx, data, most)
			answers[i] = Answer{Worker: w.number(), PID: w.proc.PID, Data: data, Err: err}
		})
	}

	all.Wait()
	return answers
}

func (w *worker) ask(ctx context.Context, data []byte, most int) ([]byte, error) {
	seq, answer, err := w.startAsk(data, most)
	if err != nil {
		return nil, err
	}
	defer w.asked.forget(w.pool, seq)

	select {
	case r := <-answer:
		return r.within(most)
	case <-ctx.Done():
		w.withdraw(seq)
		return nil, cause.Of(ctx)
	case <-w.readerDone: // the worker sends no more messages
	case <-w.pool.closing:
		return nil, errs.ErrClosed
	}

	select {
	case r := <-answer: // its last message was the answer
		return r.within(most)
	default:
		return nil, query.ErrEnded
	}
}

func (r reply) within(most int) ([]byte, error) {
	if r.size > most {
		return nil, fmt.Errorf("its answer has %d bytes: there may be at most %d", r.size, most)
	}
	return r.data, nil
}

func (w *worker) startAsk(data []byte, most int) (seq uint32, answer chan reply, err error) {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	a := &w.asked
	if a.owed >= maxAsked {
		return 0, nil, errUnanswered
	}

	if a.open == nil {
		a.open = map[uint32]question{}
	}

	if err := w.link.Ask(a.last+1, data); err != nil {
		return 0, nil, err
	}

	a.last++
	a.owed++
	answer = make(chan reply, 1)
	a.open[a.last] = question{most, answer}
	return a.last, answer, nil
}

// forget notes that the caller no longer waits for an answer.
func (a *asking) forget(p *Pool, seq uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(a.open, seq)
}

// withdraw tells the worker that it need not answer a query in full.
func (w *worker) withdraw(seq uint32) { _ = w.link.Ask(seq, nil) }

// wanted returns how many bytes an answer may have. It returns 0 if no caller is waiting for the
// answer.
func (w *worker) wanted(seq uint32) int {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	return w.asked.open[seq].most
}

// answered delivers a worker's answer to the caller that waits for it, if there is one.
func (w *worker) answered(seq uint32, data []byte, size int) {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	a := &w.asked
	a.owed = max(a.owed-1, 0)
	if q, ok := a.open[seq]; ok {
		put(q.answer, reply{data, size})
	}
}
