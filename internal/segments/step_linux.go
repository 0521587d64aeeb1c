package segments

// A client decides how much work its death, or the end of one of its segments, causes. The server
// releases its lock again and again during that work, so that no other client is delayed.

// defaultStep is how many entries of a table the server handles before it releases its lock.
const defaultStep = 256

// A step counts the work since the lock was taken.
type step int

// pause releases s.mu and takes it again, once in stepSize calls. The caller must hold s.mu. State
// that the caller read before the call may have changed. A range over a map may continue, since no
// two goroutines use the map at the same time.
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
