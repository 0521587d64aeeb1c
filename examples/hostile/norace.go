//go:build !race

package main

// memoryLimit is what a worker may have, in bytes.
const memoryLimit = 256 << 20
