package inside

import "context"

// A ManagerConn is a client's connection to a manager. A test can send any bytes over it.
type ManagerConn interface {
	SendBytes(ctx context.Context, b []byte) error
	Close() error
}

// Manager provides functions of package manager for tests of hostile clients. Package manager sets
// them.
var Manager struct {
	// Local connects as a process in the manager's tree that has an encoded proxy. Remote connects
	// as a remote client that knows the key.
	Local  func(ctx context.Context, proxy []byte) (ManagerConn, error)
	Remote func(ctx context.Context, network, address string, key []byte) (ManagerConn, error)

	// Operations returns the codes of all operations. ClearDict is one of them.
	Operations func() []uint8
	ClearDict  uint8

	// Object returns the number of the object to which an encoded proxy refers.
	Object func(proxy []byte) uint64

	// Request encodes the request of a call: an operation on an object, with unchecked arguments.
	Request func(call uint32, operation uint8, object uint64, arguments []byte) []byte
}
