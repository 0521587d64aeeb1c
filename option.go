package mp

import "fmt"

// A MapOption changes how [Map], [Stream] and their kin run.
type MapOption func(*mapOptions)

type mapOptions struct {
	hints     Hints
	allErrors bool
}

// ChunkSize fixes how many elements travel to a worker together. The default
// sizes chunks by the time that the tasks take, which is best for almost all
// uses. A negative size is an error of the call.
func ChunkSize(n int) MapOption { return func(o *mapOptions) { o.hints.Chunk = n } }

// AllErrors lets a Map run to its end whatever fails, and return the errors of
// all elements as [ElementErrors]. Without it the first error ends the Map.
func AllErrors() MapOption { return func(o *mapOptions) { o.allErrors = true } }

func applyOptions(opts []MapOption) (o mapOptions, err error) {
	for _, opt := range opts {
		opt(&o)
	}
	return o, o.hints.check()
}

func (h Hints) check() error {
	if h.Chunk < 0 {
		return fmt.Errorf("mp: ChunkSize is %d: it must not be negative", h.Chunk)
	}
	return nil
}
