package mp

import (
	"bytes"
	"runtime"
	"sync/atomic"

	"github.com/go-multiprocessing/mp/internal/codec"
)

// receive decodes a result, and returns a receipt if it has brought along what a receipt is for. With keep, *out may
// keep data.
func (f *Func[In, Out]) receive(data []byte, out *Out, keep bool) (codec.Receipt, error) {
	if !f.out.Carries() {
		return nil, f.decodeOrTake(data, out, keep)
	}
	tickets := bytes.Clone(f.out.Given(data))
	if err := f.decodeOrTake(data, out, keep); err != nil || len(tickets) == 0 {
		return nil, err
	}
	r := codec.NewReceipt(tickets)
	runtime.KeepAlive(out)
	return r, nil
}

func (f *Func[In, Out]) decodeOrTake(data []byte, out *Out, keep bool) error {
	if keep {
		return f.take(data, out)
	}
	return f.decode(data, out)
}

// unread is the receipt of a future's result until somebody has got that.
type unread struct {
	receipts []codec.Receipt
	got      atomic.Bool
}

// keepFor closes the objects of the receipts when a future is no longer reachable and its result was never asked for.
func keepFor[Out any](f *Future[Out], receipts ...codec.Receipt) {
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
		r.LoseUnreachable()
	}
}

// handOut says that somebody gets the result.
func (f *Future[Out]) handOut() (Out, error) {
	if f.unread != nil {
		f.unread.got.Store(true)
	}
	return f.value, f.err
}
