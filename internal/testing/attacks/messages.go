//go:build linux

package attacks

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/segments"
)

// unknown lists numbers that no message has.
var unknown = []uint8{0, 63, 255}

func messageRows() []Row {
	rows := slices.Concat(linkMessageRows(), serverMessageRows(), managerMessageRows(), peerMessageRows())
	for i := range rows {
		rows[i].Family = Messages
	}
	return rows
}

// odd returns descriptors that no receiver expects.
func (v *victim) odd() (fds []int, err error) {
	for _, name := range []string{"/dev/null", "/"} {
		fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		fds = append(fds, fd)
	}
	huge, err := sparse(1 << 40)
	if err != nil {
		return nil, err
	}

	small, err := sparse(4096) // not sealed
	if err != nil {
		return nil, err
	}
	slow, err := v.lingering()
	if err != nil {
		return nil, err
	}
	return append(fds, huge, small, slow), nil
}

// maxRights is the kernel's limit on the number of descriptors in a message.
const maxRights = 253

// linkDeeds are the attacks that use a message of the link.
var linkDeeds = []struct {
	name string
	do   func(ctx context.Context, v *victim, kind uint32) error
}{
	{"claim a tebibyte", func(ctx context.Context, _ *victim, kind uint32) error {
		if err := writeAll(ctx, socketFD, link.MessageHead(kind, 1, 1<<40)); err != nil {
			return err
		}
		return writeAll(ctx, socketFD, make([]byte, 8<<20))
	}},
	{"claim the largest number", func(ctx context.Context, _ *victim, kind uint32) error {
		return writeAll(ctx, socketFD, link.MessageHead(kind, ^uint32(0), ^uint64(0)))
	}},
	{"send 64 MiB", func(ctx context.Context, _ *victim, kind uint32) error {
		return say(ctx, socketFD, kind, 1, make([]byte, 64<<20))
	}},
	{"unfinished, and exit", func(ctx context.Context, v *victim, kind uint32) error {
		if err := writeAll(ctx, socketFD, link.MessageHead(kind, 1, 100)[:v.rand.IntN(16)]); err != nil {
			return err
		}
		os.Exit(3)
		return nil
	}},
	{"unfinished, and wait", func(ctx context.Context, _ *victim, kind uint32) error {
		if err := writeAll(ctx, socketFD, append(link.MessageHead(kind, 1, 100), 1, 2, 3)); err != nil {
			return err
		}
		return rest(ctx)
	}},
	{"repeated", func(ctx context.Context, _ *victim, kind uint32) error {
		for i := range uint32(1000) {
			if err := say(ctx, socketFD, kind, i, []byte{byte(i)}); err != nil {
				return err
			}
		}
		return nil
	}},
	{"out of order", func(ctx context.Context, v *victim, kind uint32) error {
		for range 50 {
			other := link.Messages()[v.rand.IntN(len(link.Messages()))].Kind
			for _, k := range []uint32{kind, other} {
				if err := say(ctx, socketFD, k, v.rand.Uint32N(100), make([]byte, v.rand.IntN(64))); err != nil {
					return err
				}
			}
		}
		return nil
	}},
	{withOddDescriptors, func(ctx context.Context, v *victim, kind uint32) error {
		fds, err := v.odd()
		if err != nil {
			return err
		}
		head := link.MessageHead(kind, 1, 0)
		for _, fd := range append(fds, -1) {
			some := []int{fd}
			if fd < 0 {
				some = slices.Repeat(fds, maxRights/len(fds))
			}
			if err := sendWith(ctx, socketFD, head, some...); err != nil {
				return err
			}
		}
		os.Exit(3)
		return nil
	}},
}

func linkMessageRows() (rows []Row) {
	all := link.Messages()
	for _, n := range unknown {
		all = append(all, link.Message{Name: fmt.Sprintf("%d, undefined", n), Kind: uint32(n)})
	}
	for _, m := range all {
		for _, d := range linkDeeds {
			rows = append(rows, Row{
				Target: "the link: " + m.Name, Deed: d.name, long: m.Kind == uint32(unknown[0]) || m.Kind == uint32(unknown[2]),
				attack: func(ctx context.Context, v *victim) error { return d.do(ctx, v, m.Kind) },
			})
		}
	}
	return rows
}

const withOddDescriptors = "with odd descriptors"

// serverDeeds are the attacks that use a message of the segment server.
var serverDeeds = []struct {
	name string
	do   func(ctx context.Context, v *victim, fd int, op uint8) error
}{
	{"huge", func(ctx context.Context, _ *victim, fd int, op uint8) error {
		big, err := sparse(1 << 40)
		if err != nil {
			return err
		}
		for _, size := range []uint64{1 << 40, 1 << 62, ^uint64(0)} {
			for _, arena := range []bool{false, true} {
				m := segments.RawMessage{Op: op, ID: size, Size: size, Req: 1 << 20, Arena: arena, OK: arena}
				if err := sendWith(ctx, fd, m.Encode(), big); err != nil {
					return err
				}
			}
		}
		return sendWith(ctx, fd, make([]byte, 100<<10))
	}},
	{"unfinished", func(ctx context.Context, v *victim, fd int, op uint8) error {
		m := segments.RawMessage{Op: op, ID: 1, Size: 1, Req: 1 << 20}.Encode()
		return sendWith(ctx, fd, m[:v.rand.IntN(len(m)-1)+1])
	}},
	{"repeated, and nothing read", func(ctx context.Context, _ *victim, fd int, op uint8) error {
		for i := range uint32(2000) {
			if err := sendWith(ctx, fd, segments.RawMessage{Op: op, ID: 1, Size: 1, Req: 1<<20 + i}.Encode()); err != nil {
				return err
			}
		}
		return nil
	}},
	{"out of order", func(ctx context.Context, v *victim, fd int, op uint8) error {
		small, err := sparse(4096)
		if err != nil {
			return err
		}
		ops := segments.Operations()
		for range 50 {
			for _, o := range []uint8{op, ops[v.rand.IntN(len(ops))].Op} {
				m := segments.RawMessage{Op: o, ID: v.tag + v.rand.Uint64N(4), Size: v.rand.Uint64N(2) * 4096, Req: 1 << 20, OK: v.rand.IntN(2) == 0, Arena: v.rand.IntN(2) == 0}
				var fds []int
				if v.rand.IntN(2) == 0 {
					fds = []int{small}
				}
				if err := sendWith(ctx, fd, m.Encode(), fds...); err != nil {
					return err
				}
			}
		}
		return nil
	}},
	{withOddDescriptors, func(ctx context.Context, v *victim, fd int, op uint8) error {
		odd, err := v.odd()
		if err != nil {
			return err
		}
		for i, one := range append(odd, -1) {
			some := []int{one}
			if one < 0 {
				some = slices.Repeat(odd, maxRights/len(odd))
			}
			for _, arena := range []bool{false, true} {
				m := segments.RawMessage{Op: op, ID: v.tag + 100 + uint64(i), Req: 1 << 20, Arena: arena}
				if err := sendWith(ctx, fd, m.Encode(), some...); err != nil {
					return err
				}
			}
		}
		os.Exit(3)
		return nil
	}},
}

// inFlight is how many descriptors a few messages can carry before they are closed, if each message
// has as many as the system allows.
const inFlight = 4 * maxRights

func boundsOf(deed string) (b Bounds) {
	if deed == withOddDescriptors {
		b.Descriptors = inFlight
	}
	return b
}

func serverMessageRows() (rows []Row) {
	all := segments.Operations()
	for _, n := range unknown {
		all = append(all, segments.Operation{Name: fmt.Sprintf("%d, undefined", n), Op: n})
	}
	for _, o := range all {
		for _, d := range serverDeeds {
			rows = append(rows, Row{
				Target: "the segment server: " + o.Name, Deed: d.name, long: o.Op == unknown[0] || o.Op == unknown[2],
				Bounds: boundsOf(d.name),
				attack: func(ctx context.Context, v *victim) error {
					fd, err := v.server(ctx)
					if err != nil {
						return err
					}
					return d.do(ctx, v, fd, o.Op)
				},
			})
		}
	}

	return rows
}

// raw opens a TCP connection to an address.
func raw(ctx context.Context, address string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", address)
}
