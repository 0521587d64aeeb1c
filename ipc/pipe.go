package ipc

import (
	"fmt"

	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

const (
	defaultBuffer = 64 << 10
	minBuffer     = 4 << 10
	maxBuffer     = 2 << 20

	receivingEnd = 0 // of a one-way pipe
)

// A PipeOption configures a pipe: it is [OneWay], [Buffer], [MaxMessage] or an [Option]. A nil
// PipeOption changes nothing.
type PipeOption interface{ applyPipe(*pipeOptions) }

type pipeOptions struct {
	objectOptions
	oneWay     bool
	buffer     int
	maxMessage int
}

type pipeOption func(*pipeOptions)

func (o pipeOption) applyPipe(to *pipeOptions) { o(to) }

// OneWay makes a pipe whose first end only receives and whose second end only sends.
func OneWay() PipeOption { return pipeOption(func(o *pipeOptions) { o.oneWay = true }) }

// Buffer sets how many bytes can be on their way in each direction before Send waits, from 4 KiB to
// 2 MiB. A message larger than a quarter of the buffer is stored outside the buffer, one such
// message at a time. The default is 64 KiB, which also applies if bytes is 0.
func Buffer(bytes int) PipeOption { return pipeOption(func(o *pipeOptions) { o.buffer = bytes }) }

// MaxMessage sets the maximum size of an encoded message in bytes. For a longer message, Send
// returns a [*mp.CodecError] with the cause [ErrTooLong]. If a corrupt process sends a longer
// message nevertheless, Recv returns the same error and the message is lost, so a sender cannot
// make the receiver allocate more than this at a time. The limit travels with each end. The default
// is 1 GiB, which also applies if bytes is 0.
func MaxMessage(bytes int) PipeOption {
	return pipeOption(func(o *pipeOptions) { o.maxMessage = bytes })
}

func pipeOptionsOf(opts []PipeOption) (o pipeOptions, err error) {
	for _, opt := range opts {
		if opt != nil {
			opt.applyPipe(&o)
		}
	}

	if o.buffer == 0 {
		o.buffer = defaultBuffer
	}
	if o.buffer < minBuffer || o.buffer > maxBuffer {
		return o, fmt.Errorf("mp: NewPipe: Buffer is %d: it must be 0, or from %d to %d", o.buffer, minBuffer, maxBuffer)
	}
	o.maxMessage, err = maxOf(o.maxMessage, "mp: NewPipe: MaxMessage")
	return o, err
}

// NewPipe makes a connection in shared memory and returns both ends. This process has both ends
// until it sends one. In a pipe with [OneWay], the first end receives and the second sends, as with
// [os.Pipe]. NewPipe costs some microseconds. If T cannot be encoded, the error names the field. An
// option outside of its range is an error too.
func NewPipe[T any](opts ...PipeOption) (*Conn[T], *Conn[T], error) {
	c, err := codec.ForMessage[T]()
	if err != nil {
		return nil, nil, fmt.Errorf("mp: NewPipe: %w", err)
	}
	how, err := pipeOptionsOf(opts)
	if err != nil {
		return nil, nil, err
	}

	o, err := objects.New(xsync.KindPipe, xsync.PipeHead+2*(how.buffer/8*8), how.isolated)
	if err != nil {
		return nil, nil, err
	}
	p := xsync.NewPipe(o.Memory(), o.Bytes()[xsync.PipeHead:])
	o.Ready()
	o.Leave()
	again := o.Again()

	first := &pipeEnd{mem: o, pipe: p, end: 0, oneWay: how.oneWay, most: how.maxMessage, carries: c.Carries()}
	second := &pipeEnd{mem: again, pipe: p, end: 1, oneWay: how.oneWay, most: how.maxMessage, carries: c.Carries()}
	return newConn(first, o, c), newConn(second, again, c), nil
}
