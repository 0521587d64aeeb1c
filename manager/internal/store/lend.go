package store

import "context"

// Functions work on copies of values, which may be much larger than the requests. So the copies of
// a client may have at most limits.Waiting bytes together, or be a single value that is larger than
// that. The client's other functions wait until there is room.

// lend waits until a client may copy n bytes, or until ctx ends. The caller must hold s.mu, which
// lend releases while it waits.
func (s *Store) lend(ctx context.Context, c *Client, n int) (int, error) {
	for s.limits.Waiting > 0 && c.borrowed > 0 && c.borrowed+n > s.limits.Waiting {
		if c.room == nil {
			c.room = make(chan struct{})
		}

		room := c.room
		s.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
		}
		s.mu.Lock()
		if err := ctx.Err(); err != nil {
			return 0, err
		}
	}

	c.borrowed += n
	return n, nil
}

// giveBack undoes lend. The caller must not hold s.mu.
func (s *Store) giveBack(c *Client, n int) {
	if n > 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.takeBackLent(c, n)
	}
}

func (s *Store) takeBackLent(c *Client, n int) {
	c.borrowed -= n
	if c.room != nil {
		close(c.room)
		c.room = nil
	}
}
