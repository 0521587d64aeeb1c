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
	// MaxConns is how many connections of a Listener may be open at a time, those that have not
	// been accepted yet included; 0 means 1024. More are closed at once.
	MaxConns int
	// HandshakeTimeout is how long a handshake may take; 0 means 10 seconds.
	HandshakeTimeout time.Duration
	// Logger is told of every connection that came to nothing, and why; nil means
	// [slog.Default].
	Logger *slog.Logger
}

// DefaultMaxMessage is Config.MaxMessage if that is 0.
const DefaultMaxMessage = 64 << 20

const (
	defaultMaxConns  = 1024
	defaultHandshake = 10 * time.Second
)

// withDefaults fills in what is zero. The error names a bad field.
func (c Config) withDefaults() (Config, error) {
	switch {
	case len(c.Key) == 0 && c.TLS == nil && !c.Anybody:
		return c, errors.New("connection: Config has neither Key nor TLS: set one, or Anybody to let in whoever can reach the address")
	case c.MaxMessage < 0:
		return c, fmt.Errorf("connection: Config.MaxMessage is %d: it must not be negative", c.MaxMessage)
	case c.MaxConns < 0:
		return c, fmt.Errorf("connection: Config.MaxConns is %d: it must not be negative", c.MaxConns)
	case c.HandshakeTimeout < 0:
		return c, fmt.Errorf("connection: Config.HandshakeTimeout is %v: it must not be negative", c.HandshakeTimeout)
	}
	if c.MaxMessage == 0 {
		c.MaxMessage = DefaultMaxMessage
	}
	if c.MaxConns == 0 {
		c.MaxConns = defaultMaxConns
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
