//go:build !race

package xsync_test

const raceDetector = false
