package store

import "context"

// Operations returns all operations. A test that attacks every operation uses it, and so
// covers new ones.
func Operations() (all []Op) {
	for i := range operations {
		if operations[i].f != nil {
			all = append(all, Op(i))
		}
	}
	return all
}

// A RawConn is a client's connection to a manager over which a test can send
// any bytes.
type RawConn interface {
	SendBytes(ctx context.Context, b []byte) error
	Close() error
}

// Raw makes such connections: Local like a process of the manager's tree that has an encoded
// proxy, Remote like a remote client that knows the key. Package manager sets it.
var Raw struct {
	Local  func(ctx context.Context, proxy []byte) (RawConn, error)
	Remote func(ctx context.Context, network, address string, key []byte) (RawConn, error)
}
