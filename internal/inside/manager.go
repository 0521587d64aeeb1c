package inside

import "context"

// A ManagerConn is a client's connection to a manager over which a test can send any bytes.
type ManagerConn interface {
	SendBytes(ctx context.Context, b []byte) error
	Close() error
}

// Manager is what tests of hostile clients need of package manager, which sets it.
var Manager struct {
	// Local connects like a process of the manager's tree that has an encoded proxy, Remote like a remote client that
	// knows the key.
	Local  func(ctx context.Context, proxy []byte) (ManagerConn, error)
	Remote func(ctx context.Context, network, address string, key []byte) (ManagerConn, error)

	// Operations are the codes of all operations, and ClearDict is one of them.
	Operations func() []uint8
	ClearDict  uint8

	// Object returns the number of the object that an encoded proxy names.
	Object func(proxy []byte) uint64

	// Request returns the request of a call: an operation on an object, with arguments that nobody has checked.
	Request func(call uint32, operation uint8, object uint64, arguments []byte) []byte
}
