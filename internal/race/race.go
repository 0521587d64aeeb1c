// Package race says whether the race detector is enabled. The detector maps far more memory than a
// program uses.
package race

// Enabled reports whether the program was built with the race detector.
const Enabled = enabled
