package manager

import (
	"fmt"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/connection"
	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// Config describes a manager. The zero value is good.
type Config struct {
	// Process is how its process runs: its name, output, memory limit and so on.
	Process mp.ProcessConfig

	// Setup is run in the manager's process before anybody is served. Start returns its error.
	Setup Setup

	// Network and Address are where the manager serves clients from outside this tree of processes.
	// They must know Key, which has at least 16 bytes; see [connection.Config] for how to make one. For
	// TLS and other limits, call [Server.Listen] in Setup.
	Network, Address string
	Key              []byte

	// Limits bound what clients can make the manager store and do.
	Limits Limits

	// Linger is how long an object that was sent on outlives a process that has died since,
	// so that whoever it was sent to finds it; and objects of a remote client whose connection
	// was lost. 0 means a minute.
	Linger time.Duration

	// Grace is how long Shutdown waits after it has asked the manager to end, before it
	// terminates it, and then before it kills it; 0 means 5 seconds.
	Grace time.Duration
}

// Limits bound a manager. A call that would exceed them returns [ErrLimit] and changes nothing; but a call that
// sets many keys or adds many elements may have done so up to the first one without room. Objects, Bytes
// and Nesting apply to all clients together, Calls and Waiting to each client: a client with many waiting
// calls takes nothing from the others. Start returns an error for a negative limit.
//
// Besides these, a request names at most 1,048,576 elements or keys, since others wait meanwhile, or all requests of
// a [Manager.Do] together; a key to be put into a Dict or Set counts as four. One that names more returns ErrLimit
// and does nothing. Requests and answers of more than 64 KiB wait until there is room: from this process tree, for
// 256 MiB of requests and 512 MiB of answers that have not been read, of which one process has at most 64 MiB and
// 256 MiB. A client that has not read for two seconds is disconnected if others need the room.
type Limits struct {
	// Objects is the maximum number of live objects. Defaults to 1,000,000.
	Objects int

	// Bytes bounds the memory of keys, values and names in bytes, including an estimate of what it takes to
	// store them and to record which client has which object. Defaults to no limit.
	Bytes int

	// Calls is the maximum number of waiting and running calls of one client. A function or method counts
	// until it returns, even if its caller no longer waits for it. Defaults to 100,000.
	Calls int

	// Waiting bounds the memory of one client's waiting and running calls in bytes: their arguments,
	// and about half a kilobyte for each waiting call or four and a half for each running function or
	// method. A single call may have a longer argument. The same number bounds three more things of each
	// client, separately: the copies of values on which its functions work, which wait for each other if
	// need be; the locks that it holds; and the objects that it knows, except those that it has found in
	// values. Functions and methods still running for clients that are gone count against the functions and
	// methods of other clients of the same kind, remote or local. Defaults to 64 MiB, or to Bytes if that is
	// less, but at least 1 MiB.
	Waiting int

	// Clients is the maximum number of connections from this process tree. A connection that is closed, or
	// whose process has died, counts until the manager has cleaned up after it. A process usually has one; it has
	// more for a moment when it connects again after [Manager.Close], or after a connection was lost.
	// Remote clients have a limit of their own, connection.Config's. Defaults to 10,000.
	Clients int

	// Connections is the maximum number of these that one process may have. Defaults to 1,000, or to Clients
	// if that is less.
	Connections int

	// Nesting is the maximum depth of objects in objects: 2 allows an object in an object in an object. A
	// client that keeps putting objects with very many others in them into others, or that makes cycles,
	// also gets [ErrLimit].
	// Defaults to 1,000.
	Nesting int
}

const (
	defaultObjects = 1_000_000
	defaultCalls   = 100_000
	defaultWaiting = 64 << 20
	leastWaiting   = 1 << 20
	defaultNesting = 1000
	defaultClients = 10_000
	defaultEach    = 1000
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
		{"Limits.Waiting", c.Limits.Waiting}, {"Limits.Clients", c.Limits.Clients}, {"Limits.Connections", c.Limits.Connections},
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
		return c, fmt.Errorf("manager: Config.Key has %d bytes and needs at least %d, since a shorter one can be guessed: make one with crypto/rand, or with head -c 32 /dev/urandom", len(c.Key), connection.MinKey)
	}
	setDefault(&c.Limits.Objects, defaultObjects)
	setDefault(&c.Limits.Calls, defaultCalls)
	if c.Limits.Bytes > 0 {
		setDefault(&c.Limits.Waiting, min(max(c.Limits.Bytes, leastWaiting), defaultWaiting))
	}
	setDefault(&c.Limits.Waiting, defaultWaiting)
	setDefault(&c.Limits.Clients, defaultClients)
	setDefault(&c.Limits.Connections, min(defaultEach, c.Limits.Clients))
	setDefault(&c.Limits.Nesting, defaultNesting)
	setDefault(&c.Linger, defaultLinger)
	setDefault(&c.Grace, defaultGrace)
	if c.Process.Name == "" {
		c.Process.Name = "manager"
	}
	c.Process.Daemon = true
	return c, nil
}

// store is the part that the store looks after.
func (l Limits) store() store.Limits {
	return store.Limits{Objects: l.Objects, Bytes: l.Bytes, Calls: l.Calls, Waiting: l.Waiting, Nesting: l.Nesting}
}

func setDefault[T int | time.Duration](v *T, otherwise T) {
	if *v == 0 {
		*v = otherwise
	}
}
