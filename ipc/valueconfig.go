package ipc

// ValueConfig configures a [Value]. The zero value is good.
type ValueConfig struct {
	// Mutex guards the Value in place of a lock of its own, for several that belong
	// together. It must not be held by who calls Load, Store or Update.
	Mutex *Mutex
	// Unlocked leaves the guarding to the caller: what several goroutines do at once may
	// be mixed, and what is read be half of one and half of the other.
	Unlocked bool
	// Isolated gives the Value a memory segment of its own; see [ObjectConfig].
	Isolated bool
}
