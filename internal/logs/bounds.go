package logs

import (
	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/excerpt"
)

// Bounds of one record, shared by sender and receiver. The sender leaves out or shortens parts that
// exceed the bounds. The receiver rejects a record with such parts.
const (
	// maxDepth limits the nesting of groups: a LogValuer may resolve to a group that contains the
	// same LogValuer again.
	maxDepth = 64
	// maxAttrs limits the total number of attributes: such a group may contain the LogValuer
	// several times.
	maxAttrs = 4096
	maxText  = 1 << 20 // of all texts together, not counting minText bytes of each

	// minText is how long a text may be even after other texts have used up maxText.
	minText = 64

	attrFields = 7 // of an attribute
	attrSize   = 2*minText + 64
	attrItem   = 1 + 2*attrFields
	ends       = maxDepth + 1 // lists that may each end with a note about missing attributes
)

// MaxEncoded is the maximum size of a record that a Handler sends, in bytes.
const MaxEncoded = maxText + (maxAttrs+ends+1)*attrSize

var bounds = codec.Bounds{Bytes: MaxEncoded, Items: (maxAttrs + ends + 1) * attrItem, Depth: 2*maxDepth + 3}

// A textBudget is the part of the bounds that is still available for a record.
type textBudget struct{ attrs, bytes int }

func newTextBudget() *textBudget { return &textBudget{maxAttrs, maxText} }

// text shortens a text to the room that is left for it, and subtracts its length from that room. No
// text takes more than half of the room, so a long message leaves some for the attributes.
func (left *textBudget) text(s string) string {
	s = excerpt.Head(s, max(left.bytes/2, minText))
	left.bytes -= len(s)
	return s
}
