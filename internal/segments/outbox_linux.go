package segments

// lookUp is the placeholder for the descriptor of the segment m.id. The descriptor is looked up
// when the message is sent, so a message that waits for a client that does not read keeps no
// descriptor open.
const lookUp = -2

// say queues a message. It does not block, so a client that does not read delays no other client.
func (c *client) say(m message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.over:
		return
	default:
	}
	c.outbox = append(c.outbox, m)
	if !c.writing {
		c.writing = true
		go c.write()
	}
}

func (c *client) answer(m message, ok bool) {
	c.say(message{op: opReply, req: m.req, ok: ok, fd: -1})
}

// awaitReader waits until the client has read most answers, and most descriptors that it sent are
// closed. It reports whether the client is alive.
func (c *client) awaitReader() bool {
	if c.closer.Pending() > maxUnclosed {
		c.awaitCloser()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.outbox)+c.sending > maxUnread && !c.isOver() {
		c.read.Wait()
	}
	return !c.isOver()
}

// awaitCloser waits until all descriptors from the client are closed or the client is dead.
func (c *client) awaitCloser() {
	select {
	case <-c.closer.Idle():
	case <-c.over:
	}
}

func (c *client) isOver() bool {
	select {
	case <-c.over:
		return true
	default:
		return false
	}
}

func (c *client) write() {
	for {
		c.mu.Lock()
		if len(c.outbox) == 0 {
			c.writing = false
			c.mu.Unlock()
			return
		}
		messages := c.outbox
		c.outbox, c.sending = nil, len(messages)
		c.mu.Unlock()

		for _, m := range messages {
			if !c.isOver() {
				c.send(m)
			}
			c.mu.Lock()
			c.sending--
			c.read.Signal()
			c.mu.Unlock()
		}
	}
}

// send sends a message. If it cannot send an answer with its descriptor, because too many are
// already in flight, it sends a failure instead.
func (c *client) send(m message) {
	s, id := c.s, m.id
	var f *file
	if m.fd == lookUp {
		m.fd, m.id = -1, 0
		s.mu.Lock()
		if g := s.segments[id]; g != nil && m.ok {
			f = g.file
			f.refs++
			m.fd, m.size, m.arena = f.fd, uint64(g.size), g.arena
		} else {
			m.ok = false
		}
		s.mu.Unlock()
	}

	if err := c.conn.send(m); err != nil && f != nil {
		s.drop(c, id)
		_ = c.conn.send(message{op: opReply, req: m.req, fd: -1})
	}

	if f != nil {
		s.mu.Lock()
		s.unref(f)
		s.mu.Unlock()
	}
}
