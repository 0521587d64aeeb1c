//go:build linux

package link

import (
	"encoding/binary"
	"fmt"
)

// Results are outcomes of tasks in the order in which they were committed. Each Run covers
// consecutive tasks with outcomes of the same kind.
type Results struct {
	Runs []Run
	data [][]byte
	kept bool // some data is outside of the link's buffer
}

// A Run holds the outcomes of tasks Seq, Seq+1, and so on. The data is valid until the next call to
// Collect.
type Run struct {
	Seq  uint32
	Kind uint8
	Data [][]byte
	lo   int
}

func (r *Results) reset() {
	r.Forget()
	r.Runs, r.data = r.Runs[:0], r.data[:0]
}

// Forget drops references to data outside of the link's buffer, because that data may be large.
func (r *Results) Forget() {
	if r.kept {
		clear(r.data)
		clear(r.Runs)
		r.kept = false
	}
}

// begin starts a new run with the next result.
func (r *Results) begin(seq uint32, kind uint8) {
	r.Runs = append(r.Runs, Run{Seq: seq, Kind: kind, lo: len(r.data)})
}

// finish sets the data of each run, once r.data no longer moves.
func (r *Results) finish() {
	hi := len(r.data)
	for i := len(r.Runs) - 1; i >= 0; i-- {
		run := &r.Runs[i]
		run.Data = r.data[run.lo:hi:hi]
		hi = run.lo
	}
}

// Collect sets r to the results that have been committed. The caller must then call Accounted. An
// error means that the ring holds garbage after the results in r, and that the worker must be
// killed.
func (l *Link) Collect(r *Results) error {
	r.reset()
	tail := l.mem.word64(offResTail).Load()
	n := tail - l.resHead
	if n == 0 {
		return nil
	}
	if n > ringSize || n%8 != 0 {
		return fmt.Errorf("%w: %d bytes of results", errGarbage, n)
	}

	l.buf = l.mem.resRing().appendTo(l.buf[:0], l.resHead, int(n))
	if err := l.Check(); err != nil {
		return err
	}
	l.resHead = tail
	err := l.parse(l.buf, r)
	l.mem.word64(offResHead).Store(tail)
	return err
}

// Accounted records that the caller has accounted for the results of the last Collect. This keeps
// the caller's records and Uncollected consistent, even if the caller is delayed between Collect
// and Accounted.
func (l *Link) Accounted() { l.accounted.Store(l.resHead) }

func (l *Link) parse(b []byte, r *Results) error {
	defer r.finish()
	var next uint32
	var last uint8
	for len(b) >= resultHead {
		word, seq := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
		b = b[resultHead:]
		n := int(word & resultLenMask)
		external := word&resultExternal != 0
		if !external {
			if n > MaxInline || pad(n) > len(b) {
				return fmt.Errorf("%w: a result of %d bytes", errGarbage, n)
			}
			if isWord(n) {
				seq = sealWord(seq, word, binary.LittleEndian.Uint64(b))
			} else {
				seq = seal(seq, word, b[:n])
			}
		}
		if kind := uint8(word >> resultKindBit & 7); len(r.Runs) == 0 || seq != next || kind != last {
			r.begin(seq, kind)
			last = kind
		}

		next = seq + 1
		if external {
			data, ok := l.inbox.claim(seq)
			if !ok {
				return fmt.Errorf("%w: a result without its data", errGarbage)
			}
			r.data, r.kept = append(r.data, data), true
			continue
		}
		r.data = append(r.data, b[:n:n])
		b = b[pad(n):]
	}

	return nil
}
