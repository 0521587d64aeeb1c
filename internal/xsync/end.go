package xsync

import "github.com/go-multiprocessing/mp/internal/park"

// End closes an object of which only the kind is known, for all processes, and wakes all of its
// waiters. The memory may have any content.
func End(k Kind, m Memory) {
	if k >= kinds || len(m.Bytes) < max(k.Size(), Small) {
		return
	}

	var o object
	o.init(m)
	sites := make([]park.Site, k.masks())
	all := make([]*park.Site, len(sites))
	for i := range sites {
		o.site(&sites[i], m, i, true)
		all[i] = &sites[i]
	}

	o.close(true, all...)
	if k == KindRing {
		for i, at := range []int{offPut, offGet} {
			End(KindMutex, m.part(at, 3+i))
		}
	}
}
