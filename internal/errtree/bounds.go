package errtree

import (
	"fmt"

	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/excerpt"
)

// Bounds of one error tree, which sender and receiver share. The sender leaves out what lies
// beyond them; the receiver refuses it.
const (
	maxDepth = 64
	maxKids  = 1024
	maxNodes = 8192
	maxText  = 1 << 20 // of one text, or of one value
	maxBytes = 4 << 20 // of all texts, names and values, but for floor bytes of each

	// floor is how long a text, name or value may be where the others have used maxBytes up.
	floor = 128

	fields   = 7                // of a node
	nodeSize = 4*floor + 8*1<<4 // of a node with four such fields, at most
	nodeItem = 1 + 2*fields     // values in a node
)

// MaxEncoded is the most bytes that Append appends.
const MaxEncoded = maxBytes + maxNodes*nodeSize

var bounds = codec.Bounds{Bytes: MaxEncoded, Items: maxNodes * nodeItem, Depth: 2*maxDepth + 1}

// A budget is what may still be sent of an error tree.
type budget struct{ nodes, bytes int }

func newBudget() *budget { return &budget{maxNodes, maxBytes} }

// most is how long the next text, name or value may be. No part may take more than half of what is
// left, so that the first does not leave the others without.
func (b *budget) most() int { return min(maxText, max(b.bytes/2, floor)) }

// text shortens a text to what there is room for.
func (b *budget) text(s string) string {
	s = excerpt.Head(s, b.most())
	b.bytes -= len(s)
	return s
}

// fits reports whether there is room for something that cannot be shortened, and takes it.
func (b *budget) fits(size int) bool {
	if size > b.most() {
		return false
	}
	b.bytes -= size
	return true
}

// check returns an error for a tree that no sender sends.
func (n *node) check(depth int, left *int) error {
	if *left--; *left < 0 {
		return fmt.Errorf("more than %d errors in one another", maxNodes)
	}
	if depth > maxDepth {
		return fmt.Errorf("errors nested more than %d deep", maxDepth)
	}
	if len(n.Kids) > maxKids {
		return fmt.Errorf("an error that wraps %d: there may be %d", len(n.Kids), maxKids)
	}
	for i := range n.Kids {
		if err := n.Kids[i].check(depth+1, left); err != nil {
			return err
		}
	}
	return nil
}
