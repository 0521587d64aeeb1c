//go:build !race

package main

// memoryLimit is the memory that a worker may use, in bytes.
const memoryLimit = 256 << 20
