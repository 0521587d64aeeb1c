//go:build race

package xsync

import "sync/atomic"

// edge shows the race detector, which does not look outside of the Go heap, what an
// object orders: whatever comes before a release comes before the next acquire.
type edge struct{ n atomic.Int64 }

func (e *edge) acquire() { e.n.Load() }
func (e *edge) release() { e.n.Add(1) }
