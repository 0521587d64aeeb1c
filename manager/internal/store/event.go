package store

import "container/list"

// Operations of events.
const (
	OpEventSet Op = iota + 160
	OpEventClear
	OpEventIsSet // : whether it is set
	OpEventWait
)

type event struct {
	set     bool
	waiters list.List
}

func (*event) leave(*Store, *object, *Client) {}
func (e *event) empty(s *Store, _ *object)    { s.answerAll(&e.waiters, ErrGone) }

func init() {
	makers[KindEvent] = func(*exec) (body, error) { return &event{}, nil }
	define(KindEvent, map[Op]func(x *exec) error{
		OpEventSet: func(x *exec) error {
			x.event().set = true
			x.s.answerAll(&x.event().waiters, nil)
			return x.in.Err()
		},
		OpEventClear: func(x *exec) error { x.event().set = false; return x.in.Err() },
		OpEventIsSet: func(x *exec) error { x.out.Bool(x.event().set); return x.in.Err() },
		OpEventWait: func(x *exec) error {
			if x.event().set {
				return x.in.Err()
			}
			return x.s.wait(&x.event().waiters, &pending{c: x.c, call: x.call, o: x.o})
		},
	}, OpEventWait)
}

func (x *exec) event() *event { return x.o.body.(*event) }
