package main

// memoryRow measures the private memory of an idle worker that has run a task.
func memoryRow() row {
	return row{
		name: "memory", unit: "KiB", better: lower,
		mp: onMinimal("memory", memoryTimes),
		peers: []peer{{"Python Pool, spawn", 5, onPython("", func(b *bench, python *helper) (float64, error) {
			return python.median("memory %d", memoryTimes(b))
		})}},
	}
}

// memoryTimes is the number of pools of three workers in a round.
func memoryTimes(b *bench) int { return b.size(3, 1) }
