package store

import "context"

// Operations are all that a request can ask for. A test that attacks every
// operation learns of a new one here.
func Operations() (all []Op) {
	for i := range operations {
		if operations[i].f != nil {
			all = append(all, Op(i))
		}
	}
	return all
}

// A RawConn is a client's connection to a manager over which a test can say
// anything.
type RawConn interface {
	SendBytes(ctx context.Context, b []byte) error
	Close() error
}

// Raw makes such connections: Local as a process of the manager's tree does that has
// the wire form of a proxy, and Remote as one that knows the key. Package manager
// fills it in.
var Raw struct {
	Local  func(ctx context.Context, proxy []byte) (RawConn, error)
	Remote func(ctx context.Context, network, address string, key []byte) (RawConn, error)
}
