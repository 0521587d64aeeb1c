package connection

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/go-multiprocessing/mp"
)

// ErrAuthentication is returned if the other side does not know the key, or does not accept this
// side's key.
var ErrAuthentication = mp.RegisterError(errors.New("connection: the other side does not know the key, or thinks that this one does not"))

// ErrTooMany is returned by [Dial] when the listener has as many open connections as its
// [Config].MaxConns allows. Only an authenticated peer gets this error. No connection was made;
// dial again later.
var ErrTooMany = mp.RegisterError(errors.New("connection: the listener has as many connections as Config.MaxConns allows"))

var (
	errNotOurs  = errors.New("connection: the other side is no connection of mp, or of another version")
	errType     = errors.New("connection: the other side has another type of messages")
	errAnybody  = errors.New("connection: one side asks for a key and the other one does not")
	errTooShort = fmt.Errorf("%w: it closed the connection before that", ErrAuthentication)
)

// The handshake consists of blocks of fixed size:
//
//	listener: magic, whether it requires a key, a nonce
//	dialer:   magic, whether it has a key, a nonce, the shape of its messages, its proof
//	listener: a verdict, its proof
//
// A proof is the HMAC-SHA256, with the key, of the proving side's name, both nonces and the shape.
// So neither proof can be used again, or as the other side's proof. The dialer sends its proof
// first, so that the listener sends nothing that would help a peer without the key to try keys.
const (
	magic     = "mp-conn\x01"
	nonceSize = 32
	proofSize = sha256.Size

	helloSize   = len(magic) + 1 + nonceSize
	answerSize  = helloSize + 8 + proofSize
	verdictSize = 1 + proofSize
)

// Verdicts of a listener.
const (
	accepted = iota
	wrongKey
	wrongType
	wrongMode
	tooMany
)

func hello(keyed bool, nonce []byte) []byte {
	b := append(make([]byte, 0, answerSize), magic...)
	if keyed {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	return append(b, nonce...)
}

func parseHello(b []byte) (keyed bool, nonce []byte, err error) {
	if string(b[:len(magic)]) != magic || b[len(magic)] > 1 {
		return false, nil, errNotOurs
	}
	return b[len(magic)] == 1, b[len(magic)+1 : helloSize], nil
}

func newNonce() []byte {
	b := make([]byte, nonceSize)
	_, _ = rand.Read(b) // never fails
	return b
}

func proof(key []byte, who string, listener, dialer []byte, shape uint64) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(who))
	h.Write(listener)
	h.Write(dialer)
	h.Write(binary.BigEndian.AppendUint64(nil, shape))
	return h.Sum(nil)
}

func write(c net.Conn, b []byte) error {
	_, err := c.Write(b)
	return err
}

// welcome performs the listener's side. It calls admit to reserve a place once the dialer has
// proved that it knows the key.
func welcome(c net.Conn, key []byte, shape uint64, admit func() bool) error {
	mine := newNonce()
	if err := write(c, hello(len(key) > 0, mine)); err != nil {
		return err
	}

	b := make([]byte, answerSize)
	if _, err := io.ReadFull(c, b); err != nil {
		return fmt.Errorf("connection: no handshake: %w", err)
	}
	keyed, theirs, err := parseHello(b)
	if err != nil {
		return err
	}
	theirShape := binary.BigEndian.Uint64(b[helloSize:])
	verdict, err := byte(accepted), error(nil)
	switch {
	case keyed != (len(key) > 0):
		verdict, err = wrongMode, errAnybody
	case keyed && !hmac.Equal(b[helloSize+8:], proof(key, "dialer", mine, theirs, theirShape)):
		verdict, err = wrongKey, ErrAuthentication
	case theirShape != shape:
		verdict, err = wrongType, errType
	case !admit():
		verdict, err = tooMany, ErrTooMany
	}

	answer := make([]byte, verdictSize)
	answer[0] = verdict
	if verdict == accepted && keyed {
		copy(answer[1:], proof(key, "listener", mine, theirs, shape))
	}

	return errors.Join(err, write(c, answer))
}

// introduce performs the dialer's side.
func introduce(c net.Conn, key []byte, shape uint64) error {
	b := make([]byte, helloSize)
	if _, err := io.ReadFull(c, b); err != nil {
		return fmt.Errorf("connection: no handshake: %w", err)
	}
	keyed, theirs, err := parseHello(b)
	if err != nil {
		return err
	}
	if keyed != (len(key) > 0) {
		return errAnybody
	}
	mine := newNonce()
	answer := binary.BigEndian.AppendUint64(hello(keyed, mine), shape)
	answer = append(answer, make([]byte, proofSize)...)
	if keyed {
		copy(answer[helloSize+8:], proof(key, "dialer", theirs, mine, shape))
	}

	if err := write(c, answer); err != nil {
		return err
	}
	verdict := make([]byte, verdictSize)
	if _, err := io.ReadFull(c, verdict); err != nil {
		return fmt.Errorf("%w: %w", errTooShort, err)
	}

	switch {
	case verdict[0] == wrongType:
		return errType
	case verdict[0] == wrongMode:
		return errAnybody
	case verdict[0] == tooMany:
		return ErrTooMany
	case verdict[0] != accepted, keyed && !hmac.Equal(verdict[1:], proof(key, "listener", theirs, mine, shape)):
		return ErrAuthentication
	}

	return nil
}
