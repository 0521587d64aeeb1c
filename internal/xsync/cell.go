package xsync

import "sync/atomic"

// A Cell is an object that nobody waits for: a word, or memory behind it.
type Cell struct{ object }

// NewCell makes a Cell in Small bytes.
func NewCell(m Memory) *Cell {
	birth(m, 0)
	return OpenCell(m)
}

// OpenCell returns the Cell that is there already.
func OpenCell(m Memory) *Cell {
	c := &Cell{}
	c.init(m)
	return c
}

// Close makes it closed: for everybody if this process owns it.
func (c *Cell) Close(owned bool) { c.close(owned) }

// Open reports whether it is not closed.
func (c *Cell) Open() bool { return c.alive(c.word.Load()) }

// Word is the cell's word.
func (c *Cell) Word() *atomic.Uint64 { return own(c.mem, 0) }

// Acquire and Release show the race detector that the word orders what comes before a
// change of it and what comes after a look at it.
func (c *Cell) Acquire() { c.edge.acquire() }

// Release is the counterpart of Acquire.
func (c *Cell) Release() { c.edge.release() }
