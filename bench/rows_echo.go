package main

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/go-multiprocessing/mp"
)

var echo = mp.Register("echo", func(_ context.Context, b []byte) ([]byte, error) { return bytes.Clone(b), nil })

// echoRow measures a Map whose arguments and results are large and in fresh memory.
func echoRow() row {
	return row{
		name: "echo-1MiB", unit: "ms", better: lower,
		mp: onPool(echoOnce),
		peers: []peer{{"Python Pool.map", 2, onPython(pythonPool, func(b *bench, python *helper) (float64, error) {
			return python.median("echo %d %d", largeCount, echoTimes(b))
		})}},
	}
}

// echoTimes is the number of maps in a round.
func echoTimes(b *bench) int { return b.size(5, 1) }

// echoOnce makes several maps, after one to warm up, and returns the milliseconds that each took.
func echoOnce(ctx context.Context, b *bench, pool *mp.Pool) (float64, error) {
	in, newLarge := make([][]byte, largeCount), larges()
	for i := range in {
		in[i] = newLarge(i, 0)
	}

	var took time.Duration
	for i := range 1 + echoTimes(b) {
		begin := time.Now()
		out, err := mp.Map(ctx, pool, echo, in)
		if i > 0 {
			took += time.Since(begin)
		}
		if err != nil {
			return 0, err
		}
		for j := range in {
			if !bytes.Equal(in[j], out[j]) {
				return 0, errors.New("the echo is wrong")
			}
		}
	}

	return milliseconds(took, echoTimes(b)), nil
}
