package main

import "context"

// startRow measures the time from NewPool to the first result, in a minimal program.
func startRow() row {
	return row{
		name: "start", unit: "ms", better: lower,
		mp: onMinimal("start", startTimes),
		peers: []peer{
			{"Python Pool, fork", 2, startPython("fork")},
			{"Python Pool, spawn", 15, startPython("spawn")},
			{"fork+exec of 2 Go programs", 0.5, onMinimal("hello", startTimes)},
		},
	}
}

// startTimes is the number of starts in a round.
func startTimes(b *bench) int { return b.size(5, 1) }

// onMinimal returns an opener for a side that the minimal program measures.
func onMinimal(command string, times func(*bench) int) opener {
	return onSmall("minimal", command, times)
}

// onSmall returns an opener for a side that a small program measures.
func onSmall(program, command string, times func(*bench) int) opener {
	return func(ctx context.Context, b *bench) (side, error) {
		h, err := b.small(ctx, program)
		if err != nil {
			return side{}, err
		}
		return side{
			round: func() (float64, error) { return h.median("%s %d", command, times(b)) },
			close: h.close,
		}, nil
	}
}

func startPython(method string) opener {
	return onPython("", func(b *bench, python *helper) (float64, error) {
		return python.median("%s %d", method, startTimes(b))
	})
}
