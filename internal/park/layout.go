package park

// Where things are in the segment with the mailboxes: the bitmap of
// the slots in use has a bit for each slot, and then each slot has a box.
const (
	MailSize  = mailSize
	BoxesAt   = boxesAt
	BoxSize   = boxSize
	SlotBytes = MaxProcs / 8
)
