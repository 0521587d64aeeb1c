package store

import "fmt"

// Estimates of the memory that the Store keeps for clients, in bytes. Everything that a client can
// make the Store keep must count, since a hostile client would ask for whatever does not count.
const (
	objectSize = 112 // of an empty object
	valueSize  = 96  // of a value, besides its bytes
	keySize    = 96  // of a key, besides its bytes
	nameSize   = 96  // of a name, besides its bytes
	refSize    = 48  // of a reference to an object in a value
	hasSize    = 48  // of an object that a client has been told of
	holdSize   = 128 // of a lock or permit that a client holds
	waitSize   = 512 // of a waiting call
	runSize    = 4096 + waitSize
)

// room returns an error if there is no room for n more bytes.
func (s *Store) room(n int) error {
	if limit := s.limits.Bytes; limit > 0 && s.bytes+n > limit {
		return fmt.Errorf("%w: %d bytes in its objects", ErrLimit, limit)
	}
	return nil
}

// charge charges a client for a call that is about to wait or run. It always admits a single large
// call, since the call could never be made otherwise.
func (s *Store) charge(p *pending) error {
	c, limit := p.c, s.limits.Calls
	if limit > 0 && c.pending >= limit {
		return fmt.Errorf("%w: %d calls of one client wait", ErrLimit, limit)
	}

	left := 0
	if p.runs {
		left = s.left[c.far]
	}

	limit = s.limits.Waiting
	if limit > 0 && c.waiting+left > 0 && c.waiting+left+p.size > limit {
		return fmt.Errorf("%w: the waiting and running calls of one client take %d bytes", ErrLimit, limit)
	}
	c.pending++
	c.waiting += p.size
	p.charged = true
	return nil
}

// discharge undoes charge. It is called when the call no longer takes any memory.
func (s *Store) discharge(p *pending) {
	switch {
	case !p.charged:
	case p.c.gone:
		s.left[p.c.far] -= p.size
	default:
		p.c.pending--
		p.c.waiting -= p.size
	}
	p.charged = false
}

// smaller returns m, or a copy if m has far fewer entries than its peak, most. A map never gives
// memory back, so without the copy its empty slots would take memory that counts toward no limit.
func smaller[K comparable, V any](m map[K]V, most *int) map[K]V {
	if *most <= 64 || len(m) >= *most/4 {
		return m
	}
	less := make(map[K]V, len(m))
	for k, v := range m {
		less[k] = v
	}
	*most = len(m)
	return less
}

// short shortens a text from a client for use in an error, so that the client does not determine
// the length of the error.
func short(text string) string {
	const most = 100
	if len(text) <= most {
		return text
	}
	return text[:most] + "..."
}
