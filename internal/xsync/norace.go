//go:build !race

package xsync

// edge is only for the race detector.
type edge struct{}

func (e *edge) acquire() {}
func (e *edge) release() {}
