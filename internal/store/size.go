package store

import "fmt"

// What is kept because a client has asked for it counts: for about what it takes, since a client
// that knows what is not counted would ask for that.
const (
	objectSize = 112 // of an object with nothing in it
	valueSize  = 96  // of a value, beside its bytes
	keySize    = 96  // of a key, beside its bytes
	nameSize   = 96  // of a name, beside its bytes
	refSize    = 48  // of an object that is in a value
	hasSize    = 48  // of an object that a client has been told of
	holdSize   = 128 // of a lock or the like that a client has
	waitSize   = 512 // of a call that waits
	runSize    = 4096 + waitSize
)

// room returns an error if n bytes more are not allowed.
func (s *Store) room(n int) error {
	if limit := s.limits.Bytes; limit > 0 && s.bytes+n > limit {
		return fmt.Errorf("%w: %d bytes in its objects", ErrLimit, limit)
	}
	return nil
}

// charge has a client account for a call that is about to wait or run. A large one alone is let in, or
// nobody could ever make it.
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
		return fmt.Errorf("%w: the calls of one client that wait or run take %d bytes", ErrLimit, limit)
	}
	c.pending++
	c.waiting += p.size
	p.charged = true
	return nil
}

// discharge is charge's counterpart, when nothing of the call is left.
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

// smaller is m, or if that has become much smaller than it was a copy: a map itself never does, and
// what is empty counts for nothing. Most is how large it was.
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

// short is a text for an error, which must not become as long as a client likes.
func short(text string) string {
	const most = 100
	if len(text) <= most {
		return text
	}
	return text[:most] + "..."
}
