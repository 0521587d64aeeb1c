package mp

import (
	"context"
	"fmt"

	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/runner"
)

// Baggage are values that go along with tasks: those of a trace, the number of a request. The keys
// of a package are its own, as those of a header are.
type Baggage map[string]string

// RegisterBaggage has values carried from the context of who calls into those of the tasks. Inject
// takes them out of the caller's context, once for each call of Call, Submit, Map, Stream and their
// kin; extract puts them into the task's, in the worker, and returns that. It is not called if no
// inject had anything to carry. With OpenTelemetry, for instance:
//
//	p := otel.GetTextMapPropagator()
//	mp.RegisterBaggage(
//		func(ctx context.Context, b mp.Baggage) { p.Inject(ctx, propagation.MapCarrier(b)) },
//		func(ctx context.Context, b mp.Baggage) context.Context { return p.Extract(ctx, propagation.MapCarrier(b)) })
//
// Several may be registered; each sees the baggage of all. Like [Register] it belongs into package
// variables or init functions; it panics after Init, or if one of the two is nil. Both must be safe
// for concurrent use. A panic of inject goes on in the caller, one of extract is the task's. If
// the encoded baggage has more than 8 KiB, the call returns an error without a sentinel, and
// nothing is run. A hundred bytes cost a task half a microsecond or so;
// where there is no baggage there is no cost. A [Process] is started without a context, and gets none.
func RegisterBaggage(inject func(ctx context.Context, b Baggage), extract func(ctx context.Context, b Baggage) context.Context) {
	functions.mustBeOpen("RegisterBaggage")
	if inject == nil || extract == nil {
		panic("mp: RegisterBaggage: a function is nil")
	}
	carriers = append(carriers, carrier{inject, extract})
}

// carrier is what is registered.
type carrier struct {
	inject  func(context.Context, Baggage)
	extract func(context.Context, Baggage) context.Context
}

// carriers do not change any more once there are tasks.
var carriers []carrier

// maxBaggage is how many bytes of baggage there may be.
const maxBaggage = 8 << 10

var baggageBounds = codec.Bounds{Bytes: maxBaggage, Items: maxBaggage, Depth: 1}

// pack takes the baggage out of the caller's context.
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

// unpack puts the baggage into the context of a task.
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

// withBaggage has a function run in a context with the baggage.
func withBaggage(run runner.Handler, packed string) runner.Handler {
	if packed == "" {
		return run
	}
	return func(ctx context.Context, in, out []byte) ([]byte, error) {
		return run(unpack(ctx, []byte(packed)), in, out)
	}
}
