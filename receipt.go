package mp

import (
	"bytes"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/go-multiprocessing/mp/internal/share"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A receipt is of what a result has given to this process. As long as nobody has got the result, nobody else can close
// that.
type receipt struct {
	objects []given
	movers  [][]byte // tickets
}

// given is an object.
type given struct {
	obj  *share.Object
	kind xsync.Kind
}

// receive decodes a result, and returns a receipt if it has brought along what a receipt is for. With keep, *out may
// keep data.
func (f *Func[In, Out]) receive(data []byte, out *Out, keep bool) (*receipt, error) {
	if !f.out.Carries() {
		return nil, f.decodeOrTake(data, out, keep)
	}
	tickets := bytes.Clone(f.out.Given(data))
	if err := f.decodeOrTake(data, out, keep); err != nil {
		return nil, err
	}
	if len(tickets) == 0 {
		return nil, nil
	}
	r := &receipt{}
	for ; len(tickets) >= ticketSize; tickets = tickets[ticketSize:] {
		r.add(tickets[:ticketSize:ticketSize])
	}
	runtime.KeepAlive(out)
	return r, nil
}

func (f *Func[In, Out]) decodeOrTake(data []byte, out *Out, keep bool) error {
	if keep {
		return f.take(data, out)
	}
	return f.decode(data, out)
}

// add notes what a ticket is of, if that has arrived.
func (r *receipt) add(ticket []byte) {
	kind := share.KindOf(ticket)
	if kind == xsync.KindHeld || kind == xsync.KindPipe {
		if hasTicket(ticket) {
			r.movers = append(r.movers, ticket)
		}
		return
	}
	t, _, err := share.ParseToken(ticket, kind)
	if err != nil {
		return
	}
	faces.mu.Lock()
	defer faces.mu.Unlock()
	if obj := faces.objectOf(t); obj != nil && obj.Owned() {
		r.objects = append(r.objects, given{obj, kind})
	}
}

// lose closes what nobody will get.
func (r *receipt) lose() {
	if r == nil {
		return
	}
	for _, g := range r.objects {
		faces.forget(g.obj)
		if g.obj.Pin() != nil { // it is closed
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

// newHere returns the tickets of what this process does not have yet.
func newHere(tickets []byte) (absent []byte) {
	for ; len(tickets) >= ticketSize; tickets = tickets[ticketSize:] {
		if t := tickets[:ticketSize]; !hasTicket(t) && !hasObject(t) {
			absent = append(absent, t...)
		}
	}
	return absent
}

// hasObject reports whether somebody in this process has the object that a ticket is of.
func hasObject(ticket []byte) bool {
	t, _, err := share.ParseToken(ticket, share.KindOf(ticket))
	if err != nil {
		return false
	}
	faces.mu.Lock()
	defer faces.mu.Unlock()
	obj := faces.objectOf(t)
	return obj != nil && obj.Received()
}

// unread is the receipt of a future's result until somebody has got that.
type unread struct {
	receipts []*receipt
	got      atomic.Bool
}

// keepFor closes the objects of the receipts when a future is no longer reachable and its result was never asked for.
func keepFor[Out any](f *Future[Out], receipts ...*receipt) {
	u := &unread{receipts: receipts}
	f.unread = u
	runtime.AddCleanup(f, func(u *unread) {
		if !u.got.Load() {
			go u.lose()
		}
	}, u)
}

func (u *unread) lose() {
	for _, r := range u.receipts {
		r.objects = slices.DeleteFunc(r.objects, given.isElsewhere)
		r.lose()
	}
}

// isElsewhere reports whether another result has brought the object along too, and somebody has that: then it is left
// to them. The result of the receipt must not be reachable any more.
func (g given) isElsewhere() bool {
	faces.mu.Lock()
	defer faces.mu.Unlock()
	other := faces.objectOf(g.obj.Name())
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

// handOut says that somebody gets the result.
func (f *Future[Out]) handOut() (Out, error) {
	if f.unread != nil {
		f.unread.got.Store(true)
	}
	return f.value, f.err
}
