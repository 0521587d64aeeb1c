package connection

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/go-multiprocessing/mp/ipc"
)

// Config says which peers may connect, and limits the resources of connections. Both sides need the
// same Key, or TLS configs that trust each other.
type Config struct {
	// Key is a secret that both sides must know. Each side proves that it knows the key without
	// sending it. The key must have at least [MinKey] bytes and be impossible to guess, since an
	// attacker can record a handshake and try keys offline. Make a key with crypto/rand:
	//
	//	key := make([]byte, 32)
	//	rand.Read(key)
	//
	// or with head -c 32 /dev/urandom > key, and give that file to both sides. Messages after the
	// handshake are neither encrypted nor authenticated: between machines, use TLS.
	Key []byte

	// TLS encrypts connections and authenticates the other side. If Key is also set, the other side
	// must pass both checks.
	TLS *tls.Config

	// Anybody admits every peer that can reach the address. Anybody must be set if neither Key nor
	// TLS is.
	Anybody bool

	// MaxMessage is the maximum size of a received message, encoded, in bytes. A longer message
	// ends the connection on which it arrives: from then on, each Recv on that connection returns
	// [ErrTooLong], which is neither mp.ErrTooLong nor an [mp.CodecError]. Send does not check the
	// size. The sender notices the end of the connection only later, and messages that its Send
	// accepts in the meantime are lost. Defaults to [DefaultMaxMessage].
	MaxMessage int

	// MaxConns is the maximum number of open connections of a Listener. It counts connections whose
	// handshake has succeeded, including those not accepted yet. When the maximum has been reached,
	// Dial returns [ErrTooMany]. A connection buffers at most one unreceived message, so MaxConns ×
	// MaxMessage limits the memory of all connections. Defaults to the number for which that
	// product is 1 GiB, but not below 16 or above 1024: 64 with the default MaxMessage.
	MaxConns int

	// MaxHandshakes is the maximum number of unfinished handshakes of a Listener. Handshakes do not
	// count as connections, so peers that do not know the key cannot keep out peers that do. If
	// another peer connects when the maximum has been reached, the Listener drops the oldest
	// handshake as soon as that handshake is a quarter of a second old. Defaults to 256.
	MaxHandshakes int

	// HandshakeTimeout is how long a handshake may take. A Dial whose handshake takes longer
	// returns an error that is both context.DeadlineExceeded and os.ErrDeadlineExceeded, even if
	// the ctx of the Dial has not ended. Defaults to 10 seconds.
	HandshakeTimeout time.Duration

	// Logger logs each refused connection with the reason. After 100 refusals within ten seconds,
	// only the number of further refusals is logged. Defaults to [slog.Default].
	Logger *slog.Logger
}

// DefaultMaxMessage is the default of Config.MaxMessage, in bytes.
const DefaultMaxMessage = 16 << 20

// MinKey is the minimum length of a Config.Key in bytes. Listen and Dial return an error for a
// shorter key.
const MinKey = 16

const (
	defaultMemory        = 1 << 30 // for all unreceived messages
	minConns             = 16
	maxConns             = 1024
	defaultMaxHandshakes = 256
	defaultHandshake     = 10 * time.Second
)

// checkKey returns an error if the key is too short. The error says how to make a better key.
func checkKey(key []byte) error {
	if len(key) >= MinKey {
		return nil
	}
	return fmt.Errorf("connection: Config.Key has %d bytes and needs at least %d, since a shorter one can be guessed: make one with crypto/rand, or with head -c 32 /dev/urandom", len(key), MinKey)
}

// withDefaults returns c with defaults in place of fields that are zero. If a field is bad, the
// error names it.
func (c Config) withDefaults() (Config, error) {
	switch {
	case len(c.Key) == 0 && c.TLS == nil && !c.Anybody:
		return c, errors.New("connection: Config has neither Key nor TLS: set one, or Anybody to let in whoever can reach the address")
	case len(c.Key) > 0 && checkKey(c.Key) != nil:
		return c, checkKey(c.Key)
	case c.MaxMessage < 0:
		return c, fmt.Errorf("connection: Config.MaxMessage is %d: it must not be negative", c.MaxMessage)
	case c.MaxConns < 0:
		return c, fmt.Errorf("connection: Config.MaxConns is %d: it must not be negative", c.MaxConns)
	case c.MaxHandshakes < 0:
		return c, fmt.Errorf("connection: Config.MaxHandshakes is %d: it must not be negative", c.MaxHandshakes)
	case c.HandshakeTimeout < 0:
		return c, fmt.Errorf("connection: Config.HandshakeTimeout is %v: it must not be negative", c.HandshakeTimeout)
	}

	if c.MaxMessage == 0 {
		c.MaxMessage = DefaultMaxMessage
	}

	if c.MaxConns == 0 {
		c.MaxConns = min(max(defaultMemory/c.MaxMessage, minConns), maxConns)
	}
	if c.MaxHandshakes == 0 {
		c.MaxHandshakes = defaultMaxHandshakes
	}
	if c.HandshakeTimeout == 0 {
		c.HandshakeTimeout = defaultHandshake
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}

	return c, nil
}

// checkNetwork returns an error unless the network is one of those that carry an ordered stream of
// bytes.
func checkNetwork(network string) error {
	switch network {
	case "tcp", "tcp4", "tcp6", "unix":
		return nil
	}
	return net.UnknownNetworkError(network)
}

// prepare completes the config of a side whose messages are of type T, and returns the shape of T.
func prepare[T any](network string, cfg Config) (Config, uint64, error) {
	cfg, err := cfg.withDefaults()
	if err == nil {
		err = checkNetwork(network)
	}
	if err != nil {
		return Config{}, 0, err
	}
	shape, err := ipc.Shape[T]()
	return cfg, shape, err
}
