package manager

import (
	"context"
	"encoding/binary"

	"github.com/go-multiprocessing/mp/connection"
	"github.com/go-multiprocessing/mp/internal/inside"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// Tests with hostile clients speak the protocol directly. They need this function, because
// connections check the message type, which only this package has.
func init() {
	inside.Manager.Local = func(ctx context.Context, proxy []byte) (inside.ManagerConn, error) {
		if len(proxy) <= proxySize {
			return nil, errNoProxy
		}
		door := new(ipc.Queue[hello])
		if err := door.UnmarshalBinary(proxy[proxySize:]); err != nil {
			return nil, err
		}
		return (&knocker{door: door}).connect(ctx)
	}

	inside.Manager.Remote = func(ctx context.Context, network, address string, key []byte) (inside.ManagerConn, error) {
		return connection.Dial[protocol](ctx, network, address, connection.Config{Key: key})
	}

	inside.Manager.Operations = func() (all []uint8) {
		for _, op := range store.Operations() {
			all = append(all, uint8(op))
		}
		return all
	}

	inside.Manager.ClearDict = uint8(store.OpDictClear)
	inside.Manager.Object = func(proxy []byte) uint64 { return binary.LittleEndian.Uint64(proxy[store.IDSize:]) }
	inside.Manager.Request = func(call uint32, operation uint8, object uint64, arguments []byte) []byte {
		var w store.Writer
		w.Begin(call, store.Op(operation), object)
		w.B = append(w.B, arguments...)
		w.End()
		return w.B
	}
}
