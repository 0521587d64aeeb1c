package main

// crashRow measures the time from the death of a pool's only worker to the first result of its
// replacement. It compares this with the time from NewPool to the first result.
func crashRow() row {
	return row{
		name: "crash", unit: "ms", better: lower,
		mp:    onMinimal("crash", crashTimes),
		peers: []peer{{"NewPool of 1", 0.8, onMinimal("one", crashTimes)}},
	}
}

// crashTimes is the number of deaths, and of starts, in a round.
func crashTimes(b *bench) int { return b.size(15, 3) }
