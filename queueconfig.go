package mp

// QueueConfig describes a [Queue]. The zero value is good.
type QueueConfig struct {
	// Cap is how many elements the queue holds; 0 means 1024, and the most is 262144.
	Cap int
	// MaxElement is how many bytes an element may have, encoded. Put returns an error for a longer
	// one; a longer one that arrives, from a process that does not keep to the limit, is a
	// [*CodecError] of Get, and is gone. So no process makes another take more memory at a time.
	// 0 means 1 GiB. The limit goes with the Queue wherever that is sent.
	MaxElement int
	// Isolated is that of [ObjectConfig].
	Isolated bool
}
