//go:build linux && !race

package attacks

const raceFactor = 1
