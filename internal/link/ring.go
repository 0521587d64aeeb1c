//go:build linux

package link

// ring is a circular buffer. Its positions are byte counts that never decrease.
type ring []byte

// put copies b to position pos. It wraps around at the end of the buffer.
func (r ring) put(pos uint64, b []byte) {
	at := int(pos % ringSize)
	n := copy(r[at:], b)
	copy(r, b[n:])
}

// appendTo appends the n bytes at position pos to buf.
func (r ring) appendTo(buf []byte, pos uint64, n int) []byte {
	at := int(pos % ringSize)
	first := min(n, ringSize-at)
	buf = append(buf, r[at:at+first]...)
	return append(buf, r[:n-first]...)
}

// pad rounds n up to a multiple of 8.
func pad(n int) int { return (n + 7) &^ 7 }
