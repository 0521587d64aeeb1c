// Package connection has connections between programs that do not know each other, on one
// machine or on several: the same [mp.Conn] as a pipe has, over a socket.
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
// Nothing that comes from the other side is looked at before it has proved that it knows the
// key, or TLS has vouched for it. Garbage, half a handshake, silent or greedy peers end as a
// line in the log and nothing else, or if there are many as a number in one: they keep nobody out
// who knows the key. A peer that is known and slow is served as long as that takes. Objects of mp and files cannot be sent to another
// program; within one tree of processes [mp.NewPipe] is faster and can.
package connection
