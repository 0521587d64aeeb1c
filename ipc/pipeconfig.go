package ipc

// PipeConfig describes a pipe. The zero value is good.
type PipeConfig struct {
	// OneWay lets the first end only receive and the second only send.
	OneWay bool
	// Buffer is how many bytes there may be on their way in each direction before Send
	// waits; 0 means 64 KiB, the least is 4 KiB, the most 2 MiB. A message that is larger
	// than a quarter of that is one more.
	Buffer int

	// MaxMessage is the maximum size of an encoded message in bytes. Send returns a [*mp.CodecError] with the
	// cause [ErrTooLong] for a longer one. If a corrupt process sends a longer one all the same, Recv returns
	// the same error and the message is lost, so a sender cannot make the receiver allocate more than this at
	// a time. The limit travels with each end. NewPipe returns an error if it is negative. Defaults to 1 GiB.
	MaxMessage int

	// Isolated is that of [ObjectConfig].
	Isolated bool
}
