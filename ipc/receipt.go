package ipc

import (
	"slices"

	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// receipt implements [codec.Receipt]: it lists what a result has given to this process. As long as
// no caller has the result, only the receipt can close what the result has given.
type receipt struct {
	objects []given
	movers  [][]byte // tickets
}

// given is an object that a result has given to this process.
type given struct {
	obj  *objects.Object
	kind xsync.Kind
}

// newReceipt returns the receipt of a result that has arrived with tickets.
func newReceipt(tickets []byte) codec.Receipt {
	r := &receipt{}
	for ; len(tickets) >= ticketSize; tickets = tickets[ticketSize:] {
		r.add(tickets[:ticketSize:ticketSize])
	}
	return r
}

// add adds the thing that a ticket names, if the thing has arrived.
func (r *receipt) add(ticket []byte) {
	kind := objects.KindOf(ticket)
	if kind == xsync.KindOwnership || kind == xsync.KindPipe {
		if hasTicket(ticket) {
			r.movers = append(r.movers, ticket)
		}
		return
	}

	t, _, err := objects.ParseToken(ticket, kind)
	if err != nil {
		return
	}

	attached.mu.Lock()
	defer attached.mu.Unlock()
	if obj := attached.objectOf(t); obj != nil && obj.Owned() {
		r.objects = append(r.objects, given{obj, kind})
	}
}

// Lose implements [codec.Receipt].
func (r *receipt) Lose() {
	for _, g := range r.objects {
		attached.forget(g.obj)
		if g.obj.Pin() != nil { // the object is closed
			continue
		}
		if g.obj.Small() {
			xsync.End(g.kind, g.obj.Memory())
		}
		g.obj.Close()
		g.obj.Unpin()
	}
	for _, ticket := range r.movers {
		loseTicket(ticket)
	}
}

// LoseUnreachable implements [codec.Receipt].
func (r *receipt) LoseUnreachable() {
	r.objects = slices.DeleteFunc(r.objects, given.isElsewhere)
	r.Lose()
}

// isElsewhere reports whether a caller has received the object with another result too, in which
// case isElsewhere leaves the object to that caller. The receipt's own result must no longer be
// reachable.
func (g given) isElsewhere() bool {
	attached.mu.Lock()
	defer attached.mu.Unlock()
	other := attached.objectOf(g.obj.Name())
	if other == nil {
		return false
	}
	if other != g.obj {
		other.Offer()
		other.Take()
		g.obj.Forget()
	}
	return true
}

// newHere returns the tickets of things that this process does not have yet.
func newHere(tickets []byte) (absent []byte) {
	for ; len(tickets) >= ticketSize; tickets = tickets[ticketSize:] {
		if t := tickets[:ticketSize]; !hasTicket(t) && !hasObject(t) {
			absent = append(absent, t...)
		}
	}
	return absent
}

// hasObject reports whether this process has the object that a ticket names.
func hasObject(ticket []byte) bool {
	t, _, err := objects.ParseToken(ticket, objects.KindOf(ticket))
	if err != nil {
		return false
	}
	attached.mu.Lock()
	defer attached.mu.Unlock()
	obj := attached.objectOf(t)
	return obj != nil && obj.Received()
}
