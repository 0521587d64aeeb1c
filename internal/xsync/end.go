package xsync

import "github.com/go-multiprocessing/mp/internal/park"

// End closes, for all processes, an object of which only the kind is known, and wakes all of the
// object's waiters. The memory may have any content.
func End(k Kind, m Memory) {
	if k >= kinds || len(m.Bytes) < max(k.Size(), Small) {
		return
	}

	var o object
	o.init(m)
	queues := make([]park.WaitQueue, k.masks())
	all := make([]*park.WaitQueue, len(queues))
	for i := range queues {
		o.waitQueue(&queues[i], m, i, true)
		all[i] = &queues[i]
	}

	o.close(true, all...)
	if k == KindRing {
		for i, at := range []int{offPut, offGet} {
			End(KindMutex, m.part(at, 3+i))
		}
	}
}
