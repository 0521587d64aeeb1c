package errtree

import (
	"fmt"

	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/excerpt"
)

// Bounds of one error tree, shared by sender and receiver. The sender leaves out parts that exceed
// them. The receiver rejects a tree with such parts.
const (
	maxDepth = 64
	maxKids  = 1024
	maxNodes = 8192
	maxText  = 1 << 20 // of one text or one value
	maxBytes = 4 << 20 // of all texts, names and values, not counting floor bytes of each

	// floor is how long a text, name or value may be after the others have used up maxBytes.
	floor = 128

	fields   = 7                // of a node
	nodeSize = 4*floor + 8*1<<4 // upper bound for a node whose four such fields have floor bytes
	nodeItem = 1 + 2*fields     // values in a node
)

// MaxEncoded is the maximum number of bytes that Append appends.
const MaxEncoded = maxBytes + maxNodes*nodeSize

var bounds = codec.Bounds{Bytes: MaxEncoded, Items: maxNodes * nodeItem, Depth: 2*maxDepth + 1}

// A budget is the part of the bounds that is still available for an error tree.
type budget struct{ nodes, bytes int }

func newBudget() *budget { return &budget{maxNodes, maxBytes} }

// most returns how long the next text, name or value may be. No part takes more than half of what
// is left, so some is always left for later parts.
func (b *budget) most() int { return min(maxText, max(b.bytes/2, floor)) }

// text shortens a text to the available room, and uses up that room.
func (b *budget) text(s string) string {
	s = excerpt.Head(s, b.most())
	b.bytes -= len(s)
	return s
}

// fits reports whether there is room for a part that cannot be shortened. If so, it uses up that
// room.
func (b *budget) fits(size int) bool {
	if size > b.most() {
		return false
	}
	b.bytes -= size
	return true
}

// check returns an error for a tree that no honest sender sends.
func (n *node) check(depth int, left *int) error {
	if *left--; *left < 0 {
		return fmt.Errorf("a tree of more than %d errors", maxNodes)
	}
	if depth > maxDepth {
		return fmt.Errorf("errors nested more than %d deep", maxDepth)
	}
	if len(n.Kids) > maxKids {
		return fmt.Errorf("an error that wraps %d errors: there may be at most %d", len(n.Kids), maxKids)
	}

	for i := range n.Kids {
		if err := n.Kids[i].check(depth+1, left); err != nil {
			return err
		}
	}
	return nil
}
