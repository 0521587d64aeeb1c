package mp

import (
	"context"
	"fmt"

	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/task"
)

// Baggage is a set of values that tasks carry with them, such as the identity of a trace or a
// request. All functions given to [RegisterBaggage] share it, so keys should name the package or
// protocol that defines them.
type Baggage map[string]string

// RegisterBaggage registers functions that carry values from the context of a caller to the
// contexts of its tasks. inject copies values from the caller's context to the baggage, once for
// each call of [Call], [Submit], [Map], [Stream] and their variants. extract returns a task's
// context extended with the values in the baggage; it runs in the worker, before the task. If the
// baggage is empty, extract is not called. With OpenTelemetry, for instance:
//
//	p := otel.GetTextMapPropagator()
//	mp.RegisterBaggage(
//		func(ctx context.Context, b mp.Baggage) { p.Inject(ctx, propagation.MapCarrier(b)) },
//		func(ctx context.Context, b mp.Baggage) context.Context { return p.Extract(ctx, propagation.MapCarrier(b)) })
//
// Several pairs of functions may be registered; they share one Baggage. Call RegisterBaggage in
// init functions, like [Register]. It panics if a function is nil, and if it is called after
// [Init]. Both functions must be safe for concurrent use.
//
// A panic in inject propagates to the caller. A panic in extract is the task's error, a
// [*PanicError]. If the encoded baggage is larger than 8 KiB, the call returns an error and runs
// nothing. A hundred bytes of baggage cost about half a microsecond per task; empty baggage costs
// nothing. A [Process] has no baggage, because it is started without a context.
func RegisterBaggage(inject func(ctx context.Context, b Baggage), extract func(ctx context.Context, b Baggage) context.Context) {
	functions.mustBeOpen("RegisterBaggage")
	if inject == nil || extract == nil {
		panic("mp: RegisterBaggage: a function is nil")
	}
	carriers = append(carriers, carrier{inject, extract})
}

// A carrier is a registered pair of functions.
type carrier struct {
	inject  func(context.Context, Baggage)
	extract func(context.Context, Baggage) context.Context
}

// carriers does not change after Init, and thus not while there are tasks.
var carriers []carrier

// maxBaggage is the maximum size of encoded baggage in bytes.
const maxBaggage = 8 << 10

var baggageBounds = codec.Bounds{Bytes: maxBaggage, Items: maxBaggage, Depth: 1}

// pack sets h.Baggage to the encoded baggage of the caller's context.
func (h *Hints) pack(ctx context.Context) error {
	if len(carriers) == 0 {
		return nil
	}

	b := Baggage{}
	for _, c := range carriers {
		c.inject(ctx, b)
	}
	if len(b) == 0 {
		return nil
	}

	packed, err := codec.AppendAny(nil, b)
	if err != nil {
		return fmt.Errorf("mp: the baggage cannot be encoded: %w", err)
	}
	if len(packed) > maxBaggage {
		return fmt.Errorf("mp: %d bytes of baggage: at most %d can be carried", len(packed), maxBaggage)
	}
	h.Baggage = string(packed)
	return nil
}

// unpack returns the context of a task extended with the values in its encoded baggage.
func unpack(ctx context.Context, packed []byte) context.Context {
	var b Baggage
	if err := codec.DecodeWithin(packed, &b, baggageBounds); err != nil {
		panic(fmt.Sprintf("mp: the baggage cannot be decoded: %v", err))
	}
	for _, c := range carriers {
		if ctx = c.extract(ctx, b); ctx == nil {
			panic("mp: a function given to RegisterBaggage returned no context")
		}
	}
	return ctx
}

// withBaggage returns a handler that calls run in a context with the baggage.
func withBaggage(run task.Handler, packed string) task.Handler {
	if packed == "" {
		return run
	}
	return func(ctx context.Context, in, out []byte) ([]byte, error) {
		return run(unpack(ctx, []byte(packed)), in, out)
	}
}
