// Package connection provides connections between independent programs, on one machine or on
// several. They have the same [ipc.Conn] as a pipe, but over a socket.
//
//	listener, err := connection.Listen[Order]("unix", "/run/shop.sock", connection.Config{Key: key})
//	conn, err := listener.Accept(ctx)
//	order, err := conn.Recv(ctx)
//
// and in the other program
//
//	conn, err := connection.Dial[Order](ctx, "unix", "/run/shop.sock", connection.Config{Key: key})
//	err = conn.Send(ctx, order)
//
// The package reads messages only from a peer that has proved that it knows the key, or that TLS
// has authenticated. A peer that sends garbage, half a handshake or nothing costs one line in the
// log; many of them cost one line with their number. They do not keep out peers that know the key.
// A slow authenticated peer is served for as long as it takes. Objects of package ipc and files
// cannot be sent to another program; within one tree of processes, [ipc.NewPipe] is faster and can
// send them.
package connection
