package broker

// A client decides how much there is to do when it dies, or when a segment of its ends. The server's lock is
// given up again and again meanwhile, so that this delays nobody else.

// defaultStep is how many entries of a table are handled before the server's lock is given up.
const defaultStep = 256

// A step counts what has been done since the lock was taken.
type step int

// pause releases the lock and takes it again, once in stepSize calls. The caller holds the lock. State that was
// read before may have changed afterwards; the range over a map goes on, since no two goroutines use it at the same
// time.
func (s *Server) pause(n *step) {
	if *n++; int(*n) < s.stepSize {
		return
	}
	*n = 0
	s.mu.Unlock()
	if s.paused != nil {
		s.paused()
	}
	s.mu.Lock()
}
