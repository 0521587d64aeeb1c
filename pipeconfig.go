package mp

// PipeConfig describes a pipe. The zero value is good.
type PipeConfig struct {
	// OneWay lets the first end only receive and the second only send.
	OneWay bool
	// Buffer is how many bytes there may be on their way in each direction before Send
	// waits; 0 means 64 KiB, the least is 4 KiB, the most 2 MiB. A message that is larger
	// than a quarter of that is one more.
	Buffer int
	// MaxMessage is how many bytes a message may have, encoded. Send returns an error for a longer
	// one; a longer one that arrives, from a process that does not keep to the limit, is a
	// [*CodecError] of Recv, and is gone. So no process makes another take more memory at a time.
	// 0 means 1 GiB. The limit goes with each end wherever that is sent.
	MaxMessage int
	// Isolated is that of [ObjectConfig].
	Isolated bool
}
