package segments

import (
	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/sys"
)

// An Operation is a kind of message of the broker's protocol.
type Operation struct {
	Name string
	Op   uint8
}

// Operations returns all kinds of messages, including the server's.
func Operations() []Operation {
	return []Operation{
		{"welcome", opWelcome}, {"publish", opPublish}, {"fetch", opFetch}, {"drop", opDrop}, {"destroy", opDestroy},
		{"take", opTake}, {"adopt", opAdopt}, {"pidfd", opPidfd}, {"depart", opDepart}, {"keep", opKeep},
		{"release", opRelease}, {"reply", opReply}, {"gone", opGone},
	}
}

// A RawMessage is a message for tests that speak the protocol directly. FD is -1 if the message has
// no descriptor.
type RawMessage struct {
	Op        uint8
	OK, Arena bool
	Req       uint32
	ID, Size  uint64
	FD        int
}

// Encode returns the bytes of a message.
func (m RawMessage) Encode() []byte {
	return message{op: m.Op, ok: m.OK, arena: m.Arena, req: m.Req, id: m.ID, size: m.Size, fd: -1}.encode()
}

// ReceiveFrom receives the next message from a socket without waiting.
func ReceiveFrom(fd int) (RawMessage, error) {
	c := conn{rights: make([]byte, unix.CmsgSpace(4*maxRights)), closer: new(sys.Closer)}
	m, err := c.receiveNow(fd)
	if m.op == opWelcome && m.also != m.fd {
		c.closer.Close(m.also)
	}
	return RawMessage{Op: m.op, OK: m.ok, Arena: m.arena, Req: m.req, ID: m.id, Size: m.size, FD: m.fd}, err
}
