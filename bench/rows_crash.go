package main

// crashRow: from the death of a pool's only worker to the first result of its
// replacement, beside from nothing to the first result.
func crashRow() row {
	return row{
		name: "crash", unit: "ms", better: lower,
		mp:    onMinimal("crash", crashTimes),
		peers: []peer{{"NewPool of 1", 0.8, onMinimal("one", crashTimes)}},
	}
}

// crashTimes is how many deaths, and how many starts, are in a round.
func crashTimes(b *bench) int { return b.size(15, 3) }
