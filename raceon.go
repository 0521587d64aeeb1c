//go:build race

package mp

// raceDetector says that workers, which are this program, have no limit of data.
const raceDetector = true
