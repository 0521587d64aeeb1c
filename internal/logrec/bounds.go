package logrec

import (
	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/excerpt"
)

// Bounds of one record, which sender and receiver share: the sender cuts what lies beyond them, the
// receiver refuses it.
const (
	// maxDepth bounds nested groups: a LogValuer may resolve to a group that holds it again.
	maxDepth = 64
	// maxAttrs bounds all attributes: such a group may hold several of its kind.
	maxAttrs = 4096
	maxBytes = 1 << 20 // of all texts, but for floor bytes of each

	// floor is how long a text may be where the others have used maxBytes up.
	floor = 64

	fields   = 7 // of an attribute
	attrSize = 2*floor + 64
	attrItem = 1 + 2*fields
	ends     = maxDepth + 1 // groups that may each end with a note that they are cut
)

// MaxEncoded is the most bytes that a Handler sends at once.
const MaxEncoded = maxBytes + (maxAttrs+ends+1)*attrSize

var bounds = codec.Bounds{Bytes: MaxEncoded, Items: (maxAttrs + ends + 1) * attrItem, Depth: 2*maxDepth + 3}

// A budget is what may still be sent of a record.
type budget struct{ attrs, bytes int }

func newBudget() *budget { return &budget{maxAttrs, maxBytes} }

// text shortens a text to what there is room for. No text may take more than half of that, so that a
// long message leaves room for the attributes.
func (left *budget) text(s string) string {
	s = excerpt.Head(s, max(left.bytes/2, floor))
	left.bytes -= len(s)
	return s
}
