//go:build linux

package attacks

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/go-multiprocessing/mp/connection"
	"github.com/go-multiprocessing/mp/internal/inside"
)

// asLocal connects to the manager like a process of its tree.
func (v *victim) asLocal(ctx context.Context) (inside.ManagerConn, error) {
	wire, err := v.Dict.MarshalBinary()
	if err != nil {
		return nil, err
	}
	return inside.Manager.Local(ctx, wire)
}

// asRemote connects like a remote client that knows the key.
func (v *victim) asRemote(ctx context.Context) (inside.ManagerConn, error) {
	return inside.Manager.Remote(ctx, "tcp", v.Manager, key)
}

const reallyLarge = "send 2 MiB"

// managerDeeds are the attacks with requests to a manager.
var managerDeeds = []struct {
	name string
	do   func(ctx context.Context, v *victim, c inside.ManagerConn, op uint8) error
}{
	{"huge", func(ctx context.Context, v *victim, c inside.ManagerConn, op uint8) error {
		var args []byte
		for range 4 {
			args = binary.AppendUvarint(args, 1<<40) // a length, or a count of elements
		}
		return c.SendBytes(ctx, v.request(1, op, args))
	}},
	{reallyLarge, func(ctx context.Context, v *victim, c inside.ManagerConn, op uint8) error {
		var args []byte
		for range 2 {
			args = binary.AppendUvarint(args, 1<<20)
			args = append(args, make([]byte, 1<<20)...)
		}
		return c.SendBytes(ctx, v.request(1, op, args))
	}},
	{"unfinished", func(ctx context.Context, v *victim, c inside.ManagerConn, op uint8) error {
		b := v.request(1, op, nil)
		return c.SendBytes(ctx, b[:v.rand.IntN(len(b))+1])
	}},
	{"repeated, and nothing read", func(ctx context.Context, v *victim, c inside.ManagerConn, op uint8) error {
		var b []byte
		for i := range uint32(100) {
			b = append(b, v.request(i, op, binary.AppendUvarint(nil, uint64(i)))...)
		}
		return c.SendBytes(ctx, b)
	}},
	{"out of order", func(ctx context.Context, v *victim, c inside.ManagerConn, op uint8) error {
		all := inside.Manager.Operations()
		for range 20 {
			var b []byte
			for _, o := range []uint8{op, all[v.rand.IntN(len(all))]} {
				b = append(b, v.request(v.rand.Uint32(), o, noise(v, 40))...)
			}
			if err := c.SendBytes(ctx, b); err != nil {
				return err
			}
		}
		return nil
	}},
}

// request returns a request on the attacker's own object in the manager, or on an object that does
// not exist.
func (v *victim) request(call uint32, op uint8, args []byte) []byte {
	return inside.Manager.Request(call, op, v.object(), args)
}

// object returns the number of the attacker's own object in the manager, or a number of no object.
func (v *victim) object() uint64 {
	wire, err := v.Dict.MarshalBinary()
	if err != nil || v.rand.IntN(3) == 0 {
		return v.rand.Uint64() | 1<<40
	}
	return inside.Manager.Object(wire)
}

func noise(v *victim, most int) []byte {
	b := make([]byte, v.rand.IntN(most))
	for i := range b {
		b[i] = byte(v.rand.Uint32())
	}
	return b
}

// managerMessageRows returns a row for each caller and deed. The row covers all operations and some
// that do not exist. The long form has a row for each operation.
func managerMessageRows() (rows []Row) {
	for _, caller := range []struct {
		name    string
		connect func(*victim, context.Context) (inside.ManagerConn, error)
	}{{"a worker", (*victim).asLocal}, {"a remote client", (*victim).asRemote}} {
		for _, d := range managerDeeds {
			through := func(ops ...uint8) func(context.Context, *victim) error {
				return func(ctx context.Context, v *victim) error {
					// Each operation has its own connection, because the manager refuses the rest
					// of the connection.
					for _, op := range ops {
						c, err := caller.connect(v, ctx)
						if err != nil {
							return err
						}
						err = d.do(ctx, v, c, op)
						_ = c.Close()
						if err != nil && ctx.Err() != nil {
							return ctx.Err()
						}
					}
					return nil
				}
			}

			row := Row{Target: "the manager, by " + caller.name, Deed: d.name, works: true, Bounds: Bounds{Timeout: 25 * time.Second, Descriptors: 256}, after: managerIsSmall, heavy: d.name == reallyLarge}
			row.attack = through(slices.Concat(inside.Manager.Operations(), []uint8{0, 254, 255})...)
			rows = append(rows, row)
			for _, op := range inside.Manager.Operations() {
				one := row
				one.Deed, one.long, one.heavy, one.attack = fmt.Sprintf("operation %d, %s", op, d.name), true, false, through(op)
				rows = append(rows, one)
			}
		}
	}

	return rows
}

// past returns a connection after its handshake. The attack can send any bytes over it.
func (v *victim) past(ctx context.Context) (net.Conn, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	to, err := raw(ctx, v.Peer)
	if err != nil {
		return nil, err
	}

	go func() { // relays the handshake
		from, err := l.Accept()
		if err != nil {
			return
		}
		go func() { _, _ = io.Copy(from, to) }()
		_, _ = io.Copy(to, from)
	}()
	_, err = connection.Dial[int](ctx, "tcp", l.Addr().String(), peers())
	return to, err
}

// many is how often a deed is repeated if it costs the other side little.
const many = 100

// peerMessageRows returns attacks on a listener, before and after the handshake.
func peerMessageRows() []Row {
	head := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	after := func(each int, say func(v *victim) []byte) func(context.Context, *victim) error {
		return func(ctx context.Context, v *victim) error {
			var open []net.Conn
			for range each {
				c, err := v.past(ctx)
				if err != nil {
					return err
				}
				open = append(open, c)
				if _, err := c.Write(say(v)); err != nil {
					return err
				}
			}
			return errors.Join(nap(ctx), closeAll(open))
		}
	}

	before := func(say func(v *victim) []byte) func(context.Context, *victim) error {
		return func(ctx context.Context, v *victim) error {
			var open []net.Conn
			for range many {
				c, err := raw(ctx, v.Peer)
				if err != nil {
					return err
				}
				open = append(open, c)
				_, _ = c.Write(say(v))
			}
			return errors.Join(nap(ctx), closeAll(open))
		}
	}

	const handshake, message = "the listener: a handshake", "the listener: a message"
	rows := []Row{
		{Target: handshake, Deed: "huge", attack: before(func(*victim) []byte { return make([]byte, 256<<10) })},
		{Target: handshake, Deed: "unfinished", attack: before(func(v *victim) []byte { return []byte("mp-conn\x01")[:v.rand.IntN(9)] })},
		{Target: handshake, Deed: "noise", attack: before(func(v *victim) []byte { return noise(v, 200) })},
		{Target: handshake, Deed: "repeated", attack: before(func(*victim) []byte { return slices.Repeat([]byte("mp-conn\x01"), 20) })},
		{Target: message, Deed: "claim a tebibyte", attack: after(8, func(*victim) []byte { return head(1 << 40) })},
		{Target: message, Deed: "claim the largest number", attack: after(8, func(*victim) []byte { return head(^uint64(0)) })},
		{Target: message, Deed: "claim 60 MiB and send nothing more", attack: after(16, func(*victim) []byte { return head(60 << 20) })},
		{Target: message, Deed: "unfinished", attack: after(16, func(*victim) []byte { return append(head(100), 1, 2, 3) })},
		{Target: message, Deed: "noise", attack: after(16, func(v *victim) []byte { return append(head(8), noise(v, 100)...) })},
		{Target: message, Deed: "repeated", attack: after(4, func(*victim) []byte { return make([]byte, 64<<10) })},
	}

	for i := range rows {
		rows[i].Bounds = Bounds{Timeout: 3 * time.Second, Goroutines: 4 * many, Descriptors: 2 * many}
		if rows[i].Target == message && rows[i].Deed == "unfinished" {
			rows[i].works, rows[i].Bounds.Timeout = true, CallTimeout
		}
	}
	return rows
}

// nap waits for a while, so that the other side has received everything and waits for more.
func nap(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, DefaultTimeout/2)
	defer cancel()
	<-ctx.Done()
	return nil
}

func closeAll(conns []net.Conn) (err error) {
	for _, c := range conns {
		err = errors.Join(err, c.Close())
	}
	return err
}
