package mp

// QueueConfig describes a [Queue]. The zero value is good.
type QueueConfig struct {
	// Cap is how many elements the queue holds; 0 means 1024, and the most is 262144.
	Cap int
	// Isolated is that of [ObjectConfig].
	Isolated bool
}
