package worker

import (
	"context"
	"sync"

	"github.com/go-multiprocessing/mp/internal/query"
)

// questions contains the parent's queries that have not been answered.
type questions struct {
	answer func(seq uint32, data []byte) error

	mu   sync.Mutex
	open map[uint32]context.CancelFunc
}

// ask starts to answer a query. If question is empty, ask cancels the open query with the number
// seq instead.
func (q *questions) ask(seq uint32, question []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(question) == 0 {
		if cancel := q.open[seq]; cancel != nil {
			cancel()
		}
		return
	}

	ctx, cancel := context.WithCancel(context.Background())
	if q.open == nil {
		q.open = map[uint32]context.CancelFunc{}
	}
	q.open[seq] = cancel

	go func() {
		defer cancel()
		data := query.Answer(ctx, question)
		q.mu.Lock()
		delete(q.open, seq)
		q.mu.Unlock()
		_ = q.answer(seq, data) // an error means that the parent is gone, and this process ends
	}()
}
