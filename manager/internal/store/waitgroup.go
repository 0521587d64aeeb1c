package store

import (
	"container/list"

	"github.com/go-multiprocessing/mp/internal/errs"
)

// Operations of wait groups. The comments list the arguments and, after a colon, the results.
const (
	OpGroupAdd   Op = iota + 170 // number to add
	OpGroupCount                 // : count
	OpGroupWait
)

type waitGroup struct {
	n       int
	waiters list.List
}

func (*waitGroup) leave(*Store, *object, *Client) {}
func (g *waitGroup) empty(s *Store, _ *object)    { s.answerAll(&g.waiters, ErrGone) }

func init() {
	makers[KindWaitGroup] = func(*exec) (body, error) { return &waitGroup{}, nil }
	define(KindWaitGroup, map[Op]func(x *exec) error{
		OpGroupAdd: func(x *exec) error {
			g, n := x.group(), x.in.Int()
			if err := x.in.Err(); err != nil {
				return err
			}
			if g.n+n < 0 {
				return errs.ErrOverRelease
			}

			if g.n += n; g.n == 0 {
				x.s.answerAll(&g.waiters, nil)
			}

			return nil
		},
		OpGroupCount: func(x *exec) error { x.out.Int(x.group().n); return x.in.Err() },
		OpGroupWait: func(x *exec) error {
			if x.group().n == 0 {
				return x.in.Err()
			}
			return x.s.wait(&x.group().waiters, &pending{c: x.c, call: x.call, o: x.o})
		},
	}, OpGroupWait)
}

func (x *exec) group() *waitGroup { return x.o.body.(*waitGroup) }
