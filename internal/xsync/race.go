//go:build race

package xsync

import "sync/atomic"

// edge tells the race detector, which does not look outside the Go heap, what an object orders:
// whatever precedes a release happens before whatever follows the next acquire.
type edge struct{ n atomic.Int64 }

func (e *edge) acquire() { e.n.Load() }
func (e *edge) release() { e.n.Add(1) }
