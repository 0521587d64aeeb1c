//go:build linux && !race

package attacks

const raceFactor = 1

// Racing reports whether the race detector is enabled.
const Racing = false
