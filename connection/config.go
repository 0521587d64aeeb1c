package connection

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/go-multiprocessing/mp"
)

// Config says who may connect, and how much one connection may take. Both sides need the same
// Key, or TLS configs that trust each other.
type Config struct {
	// Key is what both sides must know. They prove that to each other without saying it.
	// It has at least [MinKey] bytes that nobody can guess, since a peer that has recorded
	// a handshake can try keys in peace. Make one with crypto/rand:
	//
	//	key := make([]byte, 32)
	//	rand.Read(key)
	//
	// or with head -c 32 /dev/urandom > key, and give both sides that file.
	// What is sent afterwards is neither hidden nor protected from who can change it on its
	// way: across machines, use TLS.
	Key []byte
	// TLS has connections encrypted; who is on the other side is what it says. With Key too,
	// both are asked for.
	TLS *tls.Config
	// Anybody lets in whoever can reach the address. It is needed if there is neither Key nor
	// TLS.
	Anybody bool

	// MaxMessage is how many bytes a message may have; 0 means [DefaultMaxMessage]. A longer one ends the
	// connection at which it arrives.
	MaxMessage int
	// MaxConns is how many connections of a Listener may be open at a time whose handshake has
	// succeeded, those that have not been accepted yet included. A Dial of one more returns
	// [ErrTooMany]. A connection keeps at most one message that nobody has received, so
	// MaxConns × MaxMessage bounds their memory. Defaults to as many as keep that
	// product at 1 GiB, but at least 16 and at most 1024: 64 with the default MaxMessage.
	MaxConns int
	// MaxHandshakes is how many handshakes of a Listener may be under way at a time. They do
	// not count as connections, so peers that do not know the key keep nobody out who knows it:
	// when there are as many and another peer connects, the handshake that began first is
	// dropped, once it has had a quarter of a second. Defaults to 256.
	MaxHandshakes int
	// HandshakeTimeout is how long a handshake may take; 0 means 10 seconds.
	HandshakeTimeout time.Duration
	// Logger is told of connections that came to nothing, and why; nil means [slog.Default].
	// Of more than 100 within ten seconds it is told how many there were.
	Logger *slog.Logger
}

// DefaultMaxMessage is Config.MaxMessage if that is 0.
const DefaultMaxMessage = 16 << 20

// MinKey is how many bytes a Config.Key has at least.
const MinKey = 16

const (
	defaultMemory        = 1 << 30 // of all messages that nobody has received
	leastConns           = 16
	mostConns            = 1024
	defaultMaxHandshakes = 256
	defaultHandshake     = 10 * time.Second
)

// checkKey returns an error that says what is wrong with a Config.Key that is too short, and how
// to make a better one.
func checkKey(key []byte) error {
	if len(key) >= MinKey {
		return nil
	}
	return fmt.Errorf("connection: Config.Key has %d bytes and needs %d or more, since a short one can be guessed: make one with crypto/rand, or with head -c 32 /dev/urandom", len(key), MinKey)
}

// withDefaults fills in what is zero. The error names a bad field.
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
		c.MaxConns = min(max(defaultMemory/c.MaxMessage, leastConns), mostConns)
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

// checkNetwork allows what keeps the order of bytes.
func checkNetwork(network string) error {
	switch network {
	case "tcp", "tcp4", "tcp6", "unix":
		return nil
	}
	return net.UnknownNetworkError(network)
}

// prepare completes the config of a side whose messages are of type T, and returns their shape.
func prepare[T any](network string, cfg Config) (Config, uint64, error) {
	cfg, err := cfg.withDefaults()
	if err == nil {
		err = checkNetwork(network)
	}
	if err != nil {
		return Config{}, 0, err
	}
	shape, err := mp.Shape[T]()
	return cfg, shape, err
}
