package manager

import (
	"fmt"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/connection"
)

// Config describes a manager. The zero value is good.
type Config struct {
	// Process is how its process runs: its name, output, memory limit and so on.
	Process mp.ProcessConfig

	// Setup is run in the manager's process before anybody is served. Start returns its error.
	Setup Setup

	// Network and Address are where clients are served that are not of this tree of processes
	// and know Key, which has 16 bytes or more; see package connection for how to make one. For
	// TLS and other limits have Setup call [Server.Listen].
	Network, Address string
	Key              []byte

	// Limits bound what clients can make of it.
	Limits Limits

	// Linger is how long an object that was sent on outlives a process that has died since,
	// so that whoever it was sent to finds it; and objects of a remote client whose connection
	// was lost. 0 means a minute.
	Linger time.Duration

	// Grace is how long Shutdown waits after it has asked the manager to end, before it
	// terminates it, and then before it kills it; 0 means 5 seconds.
	Grace time.Duration
}

// Limits bound a manager. What would exceed them is [ErrLimit], and changes nothing.
type Limits struct {
	Objects int // alive at a time; 0: 1,000,000
	Bytes   int // of keys and values, and about what it takes to keep them; 0: no limit
	Calls   int // that one client may have waiting or running; 0: 100,000
	Nesting int // of objects in objects; 0: 1,000
}

const (
	defaultObjects = 1_000_000
	defaultCalls   = 100_000
	defaultNesting = 1000
	defaultLinger  = time.Minute
	defaultGrace   = 5 * time.Second
)

// withDefaults fills in what is zero. The error names a bad field.
func (c Config) withDefaults() (Config, error) {
	for _, f := range []struct {
		name  string
		value int
	}{
		{"Limits.Objects", c.Limits.Objects}, {"Limits.Bytes", c.Limits.Bytes}, {"Limits.Calls", c.Limits.Calls},
		{"Limits.Nesting", c.Limits.Nesting}, {"Linger", int(c.Linger)}, {"Grace", int(c.Grace)},
	} {
		if f.value < 0 {
			return c, fmt.Errorf("manager: Config.%s is %d: it must not be negative", f.name, f.value)
		}
	}
	if (c.Address == "") != (c.Network == "") {
		return c, fmt.Errorf("manager: Config.Network is %q and Address %q: give both or neither", c.Network, c.Address)
	}
	if c.Address != "" && len(c.Key) == 0 {
		return c, fmt.Errorf("manager: Config.Key is empty: remote clients must know one, or use Server.Listen in Setup")
	}
	if len(c.Key) > 0 && len(c.Key) < connection.MinKey {
		return c, fmt.Errorf("manager: Config.Key has %d bytes and needs %d or more, since a short one can be guessed: make one with crypto/rand, or with head -c 32 /dev/urandom", len(c.Key), connection.MinKey)
	}
	setDefault(&c.Limits.Objects, defaultObjects)
	setDefault(&c.Limits.Calls, defaultCalls)
	setDefault(&c.Limits.Nesting, defaultNesting)
	setDefault(&c.Linger, defaultLinger)
	setDefault(&c.Grace, defaultGrace)
	if c.Process.Name == "" {
		c.Process.Name = "manager"
	}
	c.Process.Daemon = true
	return c, nil
}

func setDefault[T int | time.Duration](v *T, otherwise T) {
	if *v == 0 {
		*v = otherwise
	}
}
