package manager

import (
	"context"

	"github.com/go-multiprocessing/mp/connection"
	"github.com/go-multiprocessing/mp/internal/store"
	"github.com/go-multiprocessing/mp/ipc"
)

// Tests of hostile clients speak the protocol directly, but connections check the message type, which only
// this package has.
func init() {
	store.Raw.Local = func(ctx context.Context, proxy []byte) (store.RawConn, error) {
		if len(proxy) <= proxySize {
			return nil, errNoProxy
		}
		door := new(ipc.Queue[hello])
		if err := door.UnmarshalBinary(proxy[proxySize:]); err != nil {
			return nil, err
		}
		return (&knocker{door: door}).connect(ctx)
	}
	store.Raw.Remote = func(ctx context.Context, network, address string, key []byte) (store.RawConn, error) {
		return connection.Dial[protocol](ctx, network, address, connection.Config{Key: key})
	}
}
