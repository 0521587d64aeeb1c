package ipc

// QueueConfig describes a [Queue]. The zero value is good.
type QueueConfig struct {
	// Cap is how many elements the queue holds; 0 means 1024, and the most is 262144.
	Cap int

	// MaxElement is the maximum size of an encoded element in bytes. Put returns a [*mp.CodecError] with the
	// cause [ErrTooLong] for a longer one. If a corrupt process puts a longer one all the same, Get returns
	// the same error and the element is lost, so a producer cannot make a consumer allocate more than this at
	// a time. The limit travels with the Queue. NewQueue returns an error if it is negative. Defaults to 1 GiB.
	MaxElement int

	// Isolated is that of [ObjectConfig].
	Isolated bool
}
