package store

import (
	"container/list"
	"time"
)

// lingering holds objects that live on for a time after the client that had them has gone. It
// contains an object only once, however many clients have had the object and gone, so a client that
// comes and goes all the time leaves no more behind than others.
type lingering struct {
	all   list.List // of lingerer, in order of expiry
	timer *time.Timer
}

type lingerer struct {
	o     *object
	until time.Time
}

func (l *lingering) stop() {
	l.all.Init()
	if l.timer != nil {
		l.timer.Stop()
	}
}

// lingerOn starts or restarts the time for which an object lingers.
func (s *Store) lingerOn(o *object) {
	l := &s.lingers
	if o.lingers != nil {
		l.all.Remove(o.lingers)
	} else {
		o.refs++
	}
	o.lingers = l.all.PushBack(lingerer{o, time.Now().Add(s.lingerTime)})
	if l.timer == nil {
		l.timer = time.AfterFunc(s.lingerTime, s.expire)
	}
}

// expire releases the objects whose time is over.
func (s *Store) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, now := &s.lingers, time.Now()
	l.timer = nil
	for e := l.all.Front(); e != nil; e = l.all.Front() {
		at := e.Value.(lingerer)
		if wait := at.until.Sub(now); wait > 0 {
			l.timer = time.AfterFunc(wait, s.expire)
			break
		}
		l.all.Remove(e)
		at.o.lingers = nil
		s.unref(at.o.id)
	}
	s.sweep()
}
