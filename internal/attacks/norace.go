//go:build linux && !race

package attacks

const raceFactor = 1

// Racing says whether the race detector is at work.
const Racing = false
