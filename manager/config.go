package manager

import (
	"fmt"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/connection"
	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// Config describes a manager. The zero value is ready to use.
type Config struct {
	// Process configures the manager's process: its name, output, memory limit and so on.
	Process mp.ProcessConfig

	// Setup runs in the manager's process before the manager serves any client. If it fails, Start
	// returns its error.
	Setup Setup

	// Network and Address are where the manager serves clients from outside this tree of processes.
	// Those clients must know Key, which must have at least 16 bytes; see [connection.Config] for
	// how to make a key. For TLS and other limits, call [Server.Listen] in Setup instead.
	Network, Address string
	Key              []byte

	// Limits bounds what clients can make the manager store and do.
	Limits Limits

	// Linger is how long an object outlives a process that sent on a proxy for the object and then
	// died, so that the receiver still finds the object. It is also how long the objects of a
	// remote client outlive the client's lost connection. Defaults to one minute.
	Linger time.Duration

	// Grace is how long Shutdown, after asking the manager to end, waits before it terminates the
	// manager's process, and how long it then waits before it kills that process. Defaults to 5
	// seconds.
	Grace time.Duration
}

// Limits bounds a manager. A call that would exceed a limit returns [ErrLimit] and changes nothing.
// The exception is a call that sets many keys or adds many elements: it may have stored the keys or
// elements before the first for which there was no room. Objects, Bytes and Nesting apply to all
// clients together. Calls and Waiting apply to each client, so a client with many waiting calls
// takes nothing from the others. Start returns an error for a negative limit.
//
// Some limits are fixed. One request, or all requests of a call of [Manager.Do] together, may name
// at most 1,048,576 elements or keys, since other clients wait meanwhile. A key that is put into a
// Dict or Set counts as four. A request that names more returns ErrLimit and does nothing. Requests
// and answers of more than 64 KiB wait until there is room. There is room for 256 MiB of these
// requests from this process tree, of which one process may use 64 MiB, and for 512 MiB of unread
// answers, of which one process may use 256 MiB. A client that has not read any answers for two
// seconds is disconnected if others need the room.
type Limits struct {
	// Objects is the maximum number of live objects. Defaults to 1,000,000.
	Objects int

	// Bytes bounds the memory of keys, values and names in bytes. It includes an estimate of the
	// memory needed to store them and to record which client uses which object. Defaults to no
	// limit.
	Bytes int

	// Calls is the maximum number of waiting and running calls of one client. A function or method
	// counts until it returns, even if its caller no longer waits for it. Defaults to 100,000.
	Calls int

	// Waiting bounds the memory of one client's waiting and running calls in bytes: their
	// arguments, and about half a kilobyte for each waiting call or four and a half for each
	// running function or method. A single call may have a longer argument. Functions and methods
	// that still run for clients that are gone count against the functions and methods of other
	// clients of the same kind, remote or local.
	//
	// The same number is also a separate bound on each of three other things of a client: the
	// copies of values on which its functions work (the functions wait for each other if
	// necessary), the locks that it holds, and the objects that it knows, except objects that it
	// has found in values. Defaults to 64 MiB, or to Bytes if that is less, but at least 1 MiB.
	Waiting int

	// Clients is the maximum number of connections from this process tree. A connection that is
	// closed, or whose process has died, counts until the manager has cleaned up after it. A
	// process usually has one connection. It briefly has more than one when it connects again after
	// [Manager.Close] or after losing a connection. Remote clients are limited by connection.Config
	// instead. Defaults to 10,000.
	Clients int

	// Connections is the maximum number of connections from one process of this tree. Defaults to
	// 1,000, or to Clients if that is less.
	Connections int

	// Nesting is the maximum depth to which objects can be nested: 2 allows an object in an object
	// in an object. A client that tries to make cycles, or that keeps nesting objects that contain
	// very many others, also gets [ErrLimit]. Defaults to 1,000.
	Nesting int
}

const (
	defaultObjects = 1_000_000
	defaultCalls   = 100_000
	defaultWaiting = 64 << 20
	minWaiting     = 1 << 20
	defaultNesting = 1000
	defaultClients = 10_000
	defaultEach    = 1000
	defaultLinger  = time.Minute
	defaultGrace   = 5 * time.Second
)

// withDefaults fills in the fields that are zero. The error names a bad field.
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
		setDefault(&c.Limits.Waiting, min(max(c.Limits.Bytes, minWaiting), defaultWaiting))
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

// store returns the limits that the store enforces.
func (l Limits) store() store.Limits {
	return store.Limits{Objects: l.Objects, Bytes: l.Bytes, Calls: l.Calls, Waiting: l.Waiting, Nesting: l.Nesting}
}

func setDefault[T int | time.Duration](v *T, otherwise T) {
	if *v == 0 {
		*v = otherwise
	}
}
