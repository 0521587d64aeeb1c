//go:build linux

package pool

import (
	"fmt"

	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/sched"
)

const (
	// chunkBytes limits the body of a chunk. Only the body of a single large element may exceed it.
	chunkBytes = 64 << 10
	minRoom    = chunkBytes + 4<<10
	// headStart is the number of tasks that justify waking the worker while more are being encoded.
	headStart = 256
	// elementHead is the size of the length in front of an encoded element.
	elementHead = 4
	// maxHeavy limits the bytes that are in transit to one worker over the socket.
	maxHeavy = 32 << 20
)

// fill sends the worker the tasks that the scheduler assigns to it.
func (w *worker) fill() error {
	if err := w.sendBody(); err != nil {
		return err
	}

	before := w.end
	for {
		ch, ok := w.claim()
		if !ok {
			break
		}
		if err := w.send(ch); err != nil {
			return err
		}
		if err := w.sendBody(); err != nil {
			return err
		}
	}
	if w.end == before {
		return nil
	}

	w.setLow()
	return w.link.Wake()
}

// room returns how many tasks can be sent to the worker now. The caller must hold the pool's lock.
func (w *worker) room() int {
	if w.isStalled() {
		return 0
	}
	tasks, bytes := w.link.Room()
	if bytes < minRoom || w.work.Heavy() > maxHeavy {
		return 0
	}

	if front, ok := w.work.Front(); ok { // tasks that were taken back used numbers, too
		tasks = min(tasks, link.MaxTasks-int(w.end-front.Seq))
	}
	if limit := w.pool.cfg.Recycle.Tasks; limit > 0 {
		tasks = min(tasks, limit-w.finished-w.work.Tasks())
	}

	return tasks
}

func (w *worker) claim() (sched.Chunk, bool) {
	p := w.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	w.returning = false
	if w.dead || w.killing || w.leaving || p.closed {
		return sched.Chunk{}, false
	}
	ch, ok := p.sched.Claim(&w.work, w.room())
	w.wantsMore = !ok && !w.stalled && p.sched.Next() == nil
	p.checkRoom()
	return ch, ok
}

// setLow asks the worker to ring when it has started half of its tasks, if more tasks are in the
// queue.
func (w *worker) setLow() {
	p := w.pool
	p.mu.Lock()
	low := w.end
	if j := p.sched.Next(); j != nil {
		n := w.work.Tasks() / 2
		low -= uint32(max(n, 1))
	}
	p.mu.Unlock()
	w.link.Low(low)
}

// send encodes a chunk and launches it. Elements that cannot be encoded are settled with an error;
// the others are sent.
func (w *worker) send(ch sched.Chunk) error {
	j := ch.Job.Data.(*job)
	fn, ok := w.fns[j.fn]
	if !ok {
		w.refuse(j, ch.Lo, ch.N, w.pool.cfg.Missing(j.fn))
		return nil
	}

	for lo, end := ch.Lo, ch.Lo+ch.N; lo < end; {
		rest := sched.Chunk{Job: ch.Job, Lo: lo, N: end - lo}
		if err := w.sendBody(); err != nil || !w.roomFor(rest.N) {
			w.giveBack(rest)
			return err
		}

		attempt, hi := w.pool.attempt(j, lo, end)
		body, n, bad := w.encode(j, lo, hi)
		switch {
		case n < 0 || n > hi-lo || n == 0 && bad == nil:
			bad, n = fmt.Errorf("mp: Encode took %d of %d elements", n, hi-lo), 0
		case n == 1 && len(body) > w.pool.cfg.Link.MaxMessage+len(j.bag)+elementHead:
			bad, n = w.pool.cfg.TooLong(j.fn, len(body)-len(j.bag)-elementHead), 0
		}

		if n > 0 {
			if err := w.launch(fn, attempt, sched.Chunk{Job: ch.Job, Lo: lo, N: n}, body); err != nil {
				w.giveBack(sched.Chunk{Job: ch.Job, Lo: lo + n, N: end - lo - n})
				return err
			}
		}
		if lo += n; bad != nil {
			w.refuse(j, lo, 1, bad)
			lo++
		}
	}
	return nil
}

// encode encodes as many elements as fit into one chunk.
func (w *worker) encode(j *job, lo, hi int) (body []byte, n int, err error) {
	if e, ok := j.batch.(Encoded); ok && j.bag == "" {
		if body = e.Encoded(); len(body) > chunkBytes {
			return body, 1, nil
		}
	}
	if w.enc == nil {
		w.enc = make([]byte, 0, chunkBytes)
	}
	return j.batch.Encode(append(w.enc[:0], j.bag...), lo, hi)
}

// launch sends encoded tasks, unless they were cancelled in the meantime.
func (w *worker) launch(fn, attempt int, ch sched.Chunk, body []byte) error {
	p, j := w.pool, ch.Job.Data.(*job)
	p.mu.Lock()
	if ch.Job.Cancel || p.closed {
		p.mu.Unlock()
		p.settleAll([]run{{j, ch.Lo, ch.N}}, p.whyNot)
		return nil
	}

	large := cap(body) > chunkBytes // one large element
	if large {
		ch.Weight = len(body)
	}

	ch.Seq = w.link.Stage(link.Chunk{Func: fn, Attempt: attempt, Worker: w.number(), ID: j.id + uint64(ch.Lo), Count: ch.N, Prompt: j.prompt, Baggage: len(j.bag), Timeout: j.timeout, Deadline: j.deadline, Body: body})
	if w.work.Tasks() == 0 {
		w.usage.given()
	}

	w.work.Launch(ch)
	w.link.Publish()
	p.checkBehind(w)
	p.armSilence()
	p.sampleSoon()
	w.end = ch.Seq + uint32(ch.N)
	p.mu.Unlock()

	if large {
		w.body, w.bodySeq, w.bodyJob = body, ch.Seq, j
	}

	if large || ch.N >= headStart {
		return w.link.Wake()
	}
	return nil
}

// sendBody sends an argument that is too large for the ring. Sending takes as long as the worker
// takes to read the argument, so only the pump may wait for that.
func (w *worker) sendBody() error {
	if w.body == nil {
		return nil
	}
	p := w.pool
	p.mu.Lock()
	w.sending = w.bodyJob
	p.mu.Unlock()

	err := w.link.SendBody(w.bodySeq, w.body)
	p.mu.Lock()
	w.sending = nil
	p.mu.Unlock()
	w.body, w.bodyJob = nil, nil
	return err
}

func (w *worker) refuse(j *job, lo, n int, err error) {
	w.pool.settleAll([]run{{j, lo, n}}, func(*job) error { return err })
}

// roomFor reports whether n more tasks may be sent.
func (w *worker) roomFor(n int) bool {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	return w.room() >= n
}

// giveBack returns claimed elements to the queue.
func (w *worker) giveBack(ch sched.Chunk) {
	if ch.N == 0 {
		return
	}
	p := w.pool
	var drops []run

	p.mu.Lock()
	if p.closed {
		drops = append(drops, run{ch.Job.Data.(*job), ch.Lo, ch.N})
	} else {
		p.sched.Return(ch, collectRuns(&drops))
		p.distribute()
	}
	p.mu.Unlock()
	p.settleAll(drops, p.whyNot)
}
