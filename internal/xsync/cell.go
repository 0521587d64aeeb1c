package xsync

import "sync/atomic"

// A Cell is an object without a wait queue: a word, or the memory that follows it.
type Cell struct{ object }

// NewCell creates a Cell in m, which must have Small bytes.
func NewCell(m Memory) *Cell {
	birth(m, 0)
	return OpenCell(m)
}

// OpenCell opens the Cell that already exists in m.
func OpenCell(m Memory) *Cell {
	c := &Cell{}
	c.init(m)
	return c
}

// Close closes the Cell, for all processes if this one owns it.
func (c *Cell) Close(owned bool) { c.close(owned) }

// Open reports whether the Cell is not closed.
func (c *Cell) Open() bool { return c.alive(c.word.Load()) }

// Word returns the Cell's word.
func (c *Cell) Word() *atomic.Uint64 { return own(c.mem, 0) }

// Acquire tells the race detector that everything before a Release happens before what follows the
// Acquire. Callers use the pair around their accesses to the word.
func (c *Cell) Acquire() { c.edge.acquire() }

// Release is the counterpart of Acquire.
func (c *Cell) Release() { c.edge.release() }
