// Package connection provides connections between independent programs, on one machine or on
// several. Each end is an [ipc.Conn], as with a pipe, but the connection uses a socket.
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
// has authenticated. A peer that sends garbage, half a handshake or nothing causes one line in the
// log; if there are many such peers, a single line says how many more there were. None of them can
// keep out peers that know the key. There is no time limit for slow peers that are authenticated.
// Files and objects of package ipc cannot be sent to another program; within one tree of processes,
// a pipe from [ipc.NewPipe] is faster and can carry them.
package connection
