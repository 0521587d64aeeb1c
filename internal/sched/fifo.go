package sched

// fifo is a queue that reuses its space. The zero value is empty.
type fifo[T any] struct {
	items []T
	head  int
}

func (q *fifo[T]) len() int { return len(q.items) - q.head }

// at returns the i-th element from the front.
func (q *fifo[T]) at(i int) *T { return &q.items[q.head+i] }

func (q *fifo[T]) push(v T) {
	if len(q.items) == cap(q.items) && q.head > len(q.items)/2 {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, v)
}

// shift drops the first element.
func (q *fifo[T]) shift() {
	var none T
	q.items[q.head] = none
	if q.head++; q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
}

// pop drops the last element.
func (q *fifo[T]) pop() {
	var none T
	last := len(q.items) - 1
	q.items[last] = none
	if q.items = q.items[:last]; q.head == last {
		q.items, q.head = q.items[:0], 0
	}
}
