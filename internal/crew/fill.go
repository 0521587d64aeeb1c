//go:build linux

package crew

import (
	"fmt"

	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/sched"
)

const (
	// chunkBytes limits the body of a chunk. Only a single large element exceeds it.
	chunkBytes = 64 << 10
	minRoom    = chunkBytes + 4<<10
	// headStart is the number of tasks that justify waking the worker while more are being encoded.
	headStart = 256
	// elementHead is the size of the length in front of an encoded element.
	elementHead = 4
	// maxHeavy limits the bytes on their way to one worker over the socket.
	maxHeavy = 32 << 20
)

// fill sends the worker the tasks that the scheduler assigns to it.
func (m *member) fill() error {
	if err := m.sendBody(); err != nil {
		return err
	}

	before := m.end
	for {
		ch, ok := m.claim()
		if !ok {
			break
		}
		if err := m.send(ch); err != nil {
			return err
		}
		if err := m.sendBody(); err != nil {
			return err
		}
	}
	if m.end == before {
		return nil
	}

	m.setLow()
	return m.link.Wake()
}

// room returns how many tasks the worker can be sent now. The caller must hold the pool's lock.
func (m *member) room() int {
	if m.isStalled() {
		return 0
	}
	tasks, bytes := m.link.Room()
	if bytes < minRoom || m.work.Heavy() > maxHeavy {
		return 0
	}

	if front, ok := m.work.Front(); ok { // tasks that were taken back used numbers, too
		tasks = min(tasks, link.MaxTasks-int(m.end-front.Seq))
	}
	if limit := m.crew.cfg.Recycle.Tasks; limit > 0 {
		tasks = min(tasks, limit-m.finished-m.work.Tasks())
	}

	return tasks
}

func (m *member) claim() (sched.Chunk, bool) {
	c := m.crew
	c.mu.Lock()
	defer c.mu.Unlock()
	m.looking = false
	if m.dead || m.doomed || m.leaving || c.closed {
		return sched.Chunk{}, false
	}
	ch, ok := c.sched.Claim(&m.work, m.room())
	m.hungry = !ok && !m.stalled && c.sched.Next() == nil
	c.checkRoom()
	return ch, ok
}

// setLow asks the worker to ring when it has started half of its tasks, if there will be more.
func (m *member) setLow() {
	c := m.crew
	c.mu.Lock()
	low := m.end
	if j := c.sched.Next(); j != nil {
		n := m.work.Tasks() / 2
		low -= uint32(max(n, 1))
	}
	c.mu.Unlock()
	m.link.Low(low)
}

// send encodes a chunk and launches it. Elements that cannot be encoded are settled with an error;
// the others are sent.
func (m *member) send(ch sched.Chunk) error {
	j := ch.Job.Data.(*job)
	fn, ok := m.fns[j.fn]
	if !ok {
		m.refuse(j, ch.Lo, ch.N, m.crew.cfg.Missing(j.fn))
		return nil
	}

	for lo, end := ch.Lo, ch.Lo+ch.N; lo < end; {
		rest := sched.Chunk{Job: ch.Job, Lo: lo, N: end - lo}
		if err := m.sendBody(); err != nil || !m.roomFor(rest.N) {
			m.giveBack(rest)
			return err
		}

		attempt, hi := m.crew.attempt(j, lo, end)
		body, n, bad := m.encode(j, lo, hi)
		switch {
		case n < 0 || n > hi-lo || n == 0 && bad == nil:
			bad, n = fmt.Errorf("mp: Encode took %d of %d elements", n, hi-lo), 0
		case n == 1 && len(body) > m.crew.cfg.Link.MaxMessage+len(j.bag)+elementHead:
			bad, n = m.crew.cfg.TooLong(j.fn, len(body)-len(j.bag)-elementHead), 0
		}

		if n > 0 {
			if err := m.launch(fn, attempt, sched.Chunk{Job: ch.Job, Lo: lo, N: n}, body); err != nil {
				m.giveBack(sched.Chunk{Job: ch.Job, Lo: lo + n, N: end - lo - n})
				return err
			}
		}
		if lo += n; bad != nil {
			m.refuse(j, lo, 1, bad)
			lo++
		}
	}
	return nil
}

// encode encodes as many elements as fit into one chunk.
func (m *member) encode(j *job, lo, hi int) (body []byte, n int, err error) {
	if e, ok := j.batch.(Encoded); ok && j.bag == "" {
		if body = e.Encoded(); len(body) > chunkBytes {
			return body, 1, nil
		}
	}
	if m.enc == nil {
		m.enc = make([]byte, 0, chunkBytes)
	}
	return j.batch.Encode(append(m.enc[:0], j.bag...), lo, hi)
}

// launch sends encoded tasks, unless they were cancelled in the meantime.
func (m *member) launch(fn, attempt int, ch sched.Chunk, body []byte) error {
	c, j := m.crew, ch.Job.Data.(*job)
	c.mu.Lock()
	if ch.Job.Cancel || c.closed {
		c.mu.Unlock()
		c.settleAll([]run{{j, ch.Lo, ch.N}}, c.whyNot)
		return nil
	}

	large := cap(body) > chunkBytes // one large element
	if large {
		ch.Weight = len(body)
	}

	ch.Seq = m.link.Stage(link.Chunk{Func: fn, Attempt: attempt, Worker: m.number(), ID: j.id + uint64(ch.Lo), Count: ch.N, Prompt: j.prompt, Baggage: len(j.bag), Timeout: j.timeout, Deadline: j.deadline, Body: body})
	if m.work.Tasks() == 0 {
		m.usage.given()
	}

	m.work.Launch(ch)
	m.link.Publish()
	c.checkBehind(m)
	c.beat()
	c.sampleSoon()
	m.end = ch.Seq + uint32(ch.N)
	c.mu.Unlock()

	if large {
		m.body, m.bodySeq, m.bodyJob = body, ch.Seq, j
	}

	if large || ch.N >= headStart {
		return m.link.Wake()
	}
	return nil
}

// sendBody sends an argument that is too large for the ring. That takes as long as the worker takes
// to read it, so only the pump may wait for it.
func (m *member) sendBody() error {
	if m.body == nil {
		return nil
	}
	c := m.crew
	c.mu.Lock()
	m.sending = m.bodyJob
	c.mu.Unlock()

	err := m.link.SendBody(m.bodySeq, m.body)
	c.mu.Lock()
	m.sending = nil
	c.mu.Unlock()
	m.body, m.bodyJob = nil, nil
	return err
}

func (m *member) refuse(j *job, lo, n int, err error) {
	m.crew.settleAll([]run{{j, lo, n}}, func(*job) error { return err })
}

// roomFor reports whether n more tasks may be sent.
func (m *member) roomFor(n int) bool {
	m.crew.mu.Lock()
	defer m.crew.mu.Unlock()
	return m.room() >= n
}

// giveBack returns claimed elements to the queue.
func (m *member) giveBack(ch sched.Chunk) {
	if ch.N == 0 {
		return
	}
	c := m.crew
	var drops []run

	c.mu.Lock()
	if c.closed {
		drops = append(drops, run{ch.Job.Data.(*job), ch.Lo, ch.N})
	} else {
		c.sched.Return(ch, collectRuns(&drops))
		c.distribute()
	}
	c.mu.Unlock()
	c.settleAll(drops, c.whyNot)
}
