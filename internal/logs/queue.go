package logs

// Bounds of the records that wait for the handler. While n sources have waiting records, each
// source may add records until it uses 1/n of maxBytes and maxRecords. If sources begin one after
// another, n of them use at most 1 + 1/2 + … + 1/n times as much as one source, which is less than
// eight times for a thousand sources. All sources together never use more than maxTotal bytes.
const (
	maxRecords = 8192
	maxBytes   = 8 << 20
	maxTotal   = 48 << 20

	overhead = 256 // size of a record besides its bytes
)

type record struct {
	source, size int
	log          func()
}

// A recordQueue contains the waiting records, first in, first out.
type recordQueue struct {
	records []record
	bytes   int
	sources map[int]*source // sources with records in the queue
	lost    map[int]int     // number of lost records that are not reported yet, by source
}

// A source counts the records that one source has in the queue.
type source struct{ records, bytes int }

func newRecordQueue() recordQueue {
	return recordQueue{sources: map[int]*source{}, lost: map[int]int{}}
}

// empty reports whether there is neither a record nor a loss to report.
func (q *recordQueue) empty() bool { return len(q.records) == 0 && len(q.lost) == 0 }

// put appends a record, or counts it as lost.
func (q *recordQueue) put(r record) {
	s := q.sources[r.source]
	if s == nil {
		s = &source{}
	}
	if !q.fits(s, r.size) {
		q.lost[r.source]++
		return
	}
	q.sources[r.source] = s
	s.records++
	s.bytes += r.size
	q.bytes += r.size
	q.records = append(q.records, r)
}

// fits reports whether a source may add a record. A source that has no records in the queue may add
// one of any size, within maxTotal.
func (q *recordQueue) fits(s *source, size int) bool {
	if q.bytes+size > maxTotal {
		return false
	}
	if s.records == 0 {
		return true
	}
	n := len(q.sources)
	return s.records < maxRecords/n && s.bytes+size <= maxBytes/n
}

// take removes the first record and returns it, or nil if there is none. It also returns the losses
// that are not reported yet.
func (q *recordQueue) take() (log func(), lost map[int]int) {
	if len(q.lost) > 0 {
		lost, q.lost = q.lost, map[int]int{}
	}
	if len(q.records) == 0 {
		return nil, lost
	}

	r := q.records[0]
	q.records[0] = record{} // release it now; the array lives until append copies the records
	q.records = q.records[1:]
	q.bytes -= r.size

	s := q.sources[r.source]
	s.bytes -= r.size
	if s.records--; s.records == 0 {
		delete(q.sources, r.source)
	}
	return r.log, lost
}

// drop counts all waiting records as lost.
func (q *recordQueue) drop() {
	for _, r := range q.records {
		q.lost[r.source]++
	}
	q.records, q.bytes = nil, 0
	clear(q.sources)
}
