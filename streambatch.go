package mp

// streamBatch is a run of elements.
type streamBatch[In, Out any] struct {
	s    *streaming[In, Out]
	from int
	in   []In // as the input has yielded them
	sent sent

	early []earlyArgument // in the place of both
}

// Len is the number of elements; 0 of no batch.
func (b *streamBatch[In, Out]) Len() int {
	if b == nil {
		return 0
	}
	return len(b.in) + len(b.early)
}

func (b *streamBatch[In, Out]) Encode(buf []byte, lo, hi int) ([]byte, int, error) {
	if b.early == nil {
		return b.s.f.encodeFor(&b.sent, buf, b.in[lo:hi], lo)
	}
	out, n, err := appendEarly(buf, b.early[lo:hi])
	s := b.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range n {
		s.send(&b.early[lo+i])
	}
	return out, n, err
}

// send notes that an element may have been sent to a worker, or will not be; under the lock.
func (s *streaming[In, Out]) send(e *earlyArgument) {
	if !e.sent {
		e.sent = true
		s.unsent -= len(e.framed)
		s.feed.Signal()
	}
}

// Describe says what element i is.
func (b *streamBatch[In, Out]) Describe(i int) string {
	if b.early != nil {
		return b.s.f.describe(b.early[i].framed)
	}
	return summary(b.in[i])
}

// Unrepeatable reports whether element i must not be retried.
func (b *streamBatch[In, Out]) Unrepeatable(i int) bool {
	if b.early != nil {
		return len(b.early[i].items.movers) > 0
	}
	return b.sent.moved(i)
}

// settled says that no process will look at elements lo, lo+1, … any more.
func (b *streamBatch[In, Out]) settled(lo, n int) {
	if b.early == nil {
		b.s.f.settledRun(&b.sent, lo, n)
		return
	}
	for i := lo; i < lo+n; i++ {
		e := &b.early[i]
		b.s.mu.Lock()
		wasSent, items := e.sent, e.items
		b.s.send(e)
		e.framed, e.items = nil, sentItems{}
		b.s.mu.Unlock()
		if wasSent {
			items.lose()
		} else {
			items.recall()
		}
	}
}

// recall takes back what elements bring along that the executor has not taken over.
func (b *streamBatch[In, Out]) recall() {
	if b == nil {
		return
	}
	for i := range b.early {
		b.early[i].items.recall()
	}
}

func (b *streamBatch[In, Out]) Settle(i int, result []byte, err error) {
	b.settled(i, 1)
	r := streamed[Out]{index: b.from + i, err: err, set: true}
	if err == nil {
		r.receipt, r.err = b.s.f.receive(result, &r.value, false)
	}
	b.s.put(r)
}

// SettleRun is Settle for elements lo, lo+1, … that all have results; see
// crew.RunSettler.
func (b *streamBatch[In, Out]) SettleRun(lo int, results [][]byte) {
	b.settled(lo, len(results))
	rs := make([]streamed[Out], len(results))
	for k, data := range results {
		rs[k] = streamed[Out]{index: b.from + lo + k, set: true}
		rs[k].receipt, rs[k].err = b.s.f.receive(data, &rs[k].value, true)
	}
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	for k := range rs {
		b.s.place(rs[k])
	}
}
